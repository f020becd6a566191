import { eachOf } from "../core/eachOf";

const requestsAtOnce = 8;

/** What `ask` gives for each item, in the order of the items; at most eight are asked for at once. */
export async function inOrder<Item, Answer>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  await eachOf([...items.entries()], requestsAtOnce, async ([index, item]) => {
    answers[index] = await ask(item);
  });
  return answers;
}
