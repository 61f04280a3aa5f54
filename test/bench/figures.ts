/** What a benchmark says in the end, and how it is printed. */

/** One figure, with what it was measured against. */
export interface Figure {
  /** Name of the benchmark: reconciles, updates, latency, memory, writes, fleet. */
  readonly benchmark: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The budget of docs/benchmarks.md: met when the value is at least `min`, or at most `max`. Absent: recorded without a budget. */
  readonly budget?: { readonly min: number } | { readonly max: number };
  /** The yardstick of the same run, in words and numbers. */
  readonly against: string;
}

/** What belongs to the figures but is none: processor use, spreads, counts. */
export type Details = Readonly<Record<string, unknown>>;

export interface BenchmarkResult {
  readonly figures: readonly Figure[];
  readonly details: Details;
}

export function isMet(figure: Figure): boolean | undefined {
  if (figure.budget === undefined) return undefined;
  return "min" in figure.budget ? figure.value >= figure.budget.min : figure.value <= figure.budget.max;
}

/** The figures as lines for people. */
export function figureLines(figures: readonly Figure[]): string[] {
  const rows = figures.map((figure) => [
    figure.benchmark,
    figure.name,
    `${round(figure.value)} ${figure.unit}`,
    budgetText(figure),
    figure.against,
  ]);
  return tableLines([["benchmark", "figure", "value", "budget", "measured against"], ...rows]);
}

function budgetText(figure: Figure): string {
  const { budget } = figure;
  if (budget === undefined) return "-";
  const text = "min" in budget ? `>= ${budget.min}` : `<= ${budget.max}`;
  return `${text} ${isMet(figure) === true ? "met" : "NOT MET"}`;
}

/** Columns as wide as their widest cell; the last one is not padded. */
export function tableLines(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  "),
  );
}

/** Three digits are what such a measurement can carry. */
export function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

/**
 * The value below which a share of the values lies (nearest rank).
 * @param share from 0 to 1.
 * @throws RangeError without values.
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError("a percentile of nothing");
  return value;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}
