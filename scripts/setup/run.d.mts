/** Types of run.mjs, whose comments say what it does. */
export function run(
  node: string,
  args: string[],
  options?: { command?: string; env?: NodeJS.ProcessEnv; cwd?: string; sameSignalMs?: number },
): Promise<number>;
