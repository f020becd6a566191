/** The plugins that the engine said it loaded, with their files, from what `pulumi` printed. */
export function loadedPlugins(printed: string): Map<string, string> {
  const lines = printed.matchAll(/using pulumi-resource-(\S+) from \$PATH at (.+?)\s*$/gm);
  return new Map([...lines].map(([, name = "", file = ""]) => [name, file]));
}
