import { shown } from "../core/messageCode";

/** Methods of a provider whose errors, which the engine prints, say the code of their message. */
export function withShownErrors<
  Methods extends Record<string, (...args: never[]) => Promise<unknown>>,
>(methods: Methods): Methods {
  const all = Object.entries(methods).map(([name, method]) => [
    name,
    async (...args: never[]) => {
      try {
        return await method(...args);
      } catch (error) {
        throw Object.assign(error as Error, { message: shown(error as Error) });
      }
    },
  ]);
  return Object.fromEntries(all) as Methods;
}
