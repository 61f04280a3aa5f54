/** dependsOn as an order: who is made before whom, and who may be removed now. Pure. */

/** What counts of a container here. */
export interface Dependent {
  readonly name: string;
  readonly dependsOn?: readonly { readonly name: string }[];
}

/** Either an order, or the names of a circle, the first one again at its end. */
export type Order<T> = { readonly order: readonly T[] } | { readonly circle: readonly string[] };

/**
 * Each container after everything that it depends on; where nothing decides, in the order given. Names that no container has are
 * passed over: admission refuses them.
 */
export function inOrder<T extends Dependent>(containers: readonly T[]): Order<T> {
  const byName = new Map(containers.map((container) => [container.name, container]));
  const done = new Set<string>();
  const order: T[] = [];
  const path: string[] = [];
  const visit = (container: T): readonly string[] | undefined => {
    const { name } = container;
    if (done.has(name)) return undefined;
    const begin = path.indexOf(name);
    if (begin >= 0) return [...path.slice(begin), name];
    path.push(name);
    for (const dependency of container.dependsOn ?? []) {
      const next = byName.get(dependency.name);
      const circle = next === undefined ? undefined : visit(next);
      if (circle !== undefined) return circle;
    }
    path.pop();
    done.add(name);
    order.push(container);
    return undefined;
  };
  for (const container of containers) {
    const circle = visit(container);
    if (circle !== undefined) return { circle };
  }
  return { order };
}

/**
 * Of the containers that are present, those that no other present one depends on: the next ones to be removed. All of them where a
 * circle leaves none, since whatever is present must be removable.
 */
export function removableNow(containers: readonly Dependent[], present: ReadonlySet<string>): ReadonlySet<string> {
  const needed = new Set(
    containers
      .filter(({ name }) => present.has(name))
      .flatMap(({ name, dependsOn }) => (dependsOn ?? []).map((each) => each.name).filter((each) => each !== name)),
  );
  const free = new Set([...present].filter((name) => !needed.has(name)));
  return free.size === 0 ? present : free;
}
