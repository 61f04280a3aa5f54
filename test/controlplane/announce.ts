// Progress of work that may take minutes: a line every fifteen seconds, so that nobody thinks it hangs.

const INTERVAL_MS = 15_000;

export interface Progress extends AsyncDisposable {
  /** From now on progress is described like this; says it at once. */
  say(describe: () => string): void;
}

/** Calls log with the description and the time passed, every 15 s until disposed; nothing is said about what is quicker. */
export function announce(log: (line: string) => void, describe: () => string): Progress {
  const began = performance.now();
  let current = describe;
  const tell = (): void => log(`${current()} (${duration(performance.now() - began)})`);
  const timer = setInterval(tell, INTERVAL_MS);
  return {
    say: (next) => {
      current = next;
      tell();
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
