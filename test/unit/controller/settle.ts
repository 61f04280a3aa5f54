/** Lets everything run that is ready to run: microtasks, and what they queue. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
