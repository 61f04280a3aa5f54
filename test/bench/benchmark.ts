/** What a benchmark gets. */
export interface BenchmarkContext {
  /** Fewer objects and rounds, shorter waits: to see that it works, not to record. */
  readonly quick: boolean;
  /** Says what goes on. */
  readonly log: (line: string) => void;
  /** Where processor profiles of the operator go; undefined: none are made. */
  readonly profileDir: string | undefined;
}
