/** Where progress is shown: a terminal, or what stands in for one. */
export interface Screen {
  isTTY?: boolean | undefined;
  write: (text: string) => unknown;
}

/** How far long work is. */
export interface Progress {
  /** One more is done. `print`: shows what there is to say of it, in lines of its own. */
  done: (print?: () => unknown) => void;
  /** Prints what is of none of them. */
  beside: (print: () => unknown) => void;
  /** Takes the line away that shows it. */
  end: () => void;
}

/** How often a log is told how far the work is. */
const quietMs = 30_000;
const clear = "\r\u001b[K";

/**
 * Shows how far long work is: on a terminal as one line that is written anew, elsewhere as a plain line twice a minute.
 * It goes to standard error, so that what is printed can be read by other programs.
 */
export function progress(
  what: string,
  total: number,
  screen: Screen = process.stderr,
  now: () => number = Date.now,
): Progress {
  const isTerminal = screen.isTTY === true && total > 1;
  let [count, told] = [0, now()];
  const show = () => screen.write(`${what}: ${count} of ${total}`);
  const beside = (print: () => unknown) => {
    if (isTerminal) screen.write(clear);
    print();
    if (isTerminal) show();
  };
  if (isTerminal) show();
  return {
    done(print = () => undefined) {
      count += 1;
      beside(print);
      if (isTerminal || now() - told < quietMs || count === total) return;
      told = now();
      show();
      screen.write("\n");
    },
    beside,
    end() {
      if (isTerminal) screen.write(clear);
    },
  };
}
