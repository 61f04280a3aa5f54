/** An element of an {@link IndexedHeap}; the heap keeps the element's place here. One element may be in one heap at a time. */
export interface HeapElement {
  /** Place in the heap's array; -1 outside of a heap. Written by the heap only. */
  heapIndex: number;
}

/**
 * A binary heap whose elements know their place, so that one whose order changed, or that is no longer wanted, is moved
 * or taken out in O(log n). The work queue needs both: a key may be raised in priority, or asked for at an earlier time.
 */
export class IndexedHeap<T extends HeapElement> {
  readonly #elements: T[] = [];
  readonly #before: (a: T, b: T) => boolean;

  /**
   * @param before whether `a` comes out before `b`; a strict order (never true for both ways round). Where it is total,
   * the order of removal is fully determined.
   */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#elements.length;
  }

  /** The element that comes out next, left in place; undefined when empty. */
  peek(): T | undefined {
    return this.#elements[0];
  }

  push(element: T): void {
    element.heapIndex = this.#elements.length;
    this.#elements.push(element);
    this.#up(element.heapIndex);
  }

  /** Takes out the first element; undefined when empty. */
  pop(): T | undefined {
    const first = this.#elements[0];
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** Restores the order after `element`, which is in this heap, changed what `before` looks at. */
  update(element: T): void {
    this.#up(element.heapIndex);
    this.#down(element.heapIndex);
  }

  /** Takes out `element`, which is in this heap. */
  remove(element: T): void {
    const index = element.heapIndex;
    const last = this.#elements.pop();
    element.heapIndex = -1;
    if (last === undefined || last === element) return;
    this.#place(last, index);
    this.update(last);
  }

  #place(element: T, index: number): void {
    this.#elements[index] = element;
    element.heapIndex = index;
  }

  #up(start: number): void {
    let index = start;
    const element = this.#elements[index];
    if (element === undefined) return;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#elements[parentIndex];
      if (parent === undefined || !this.#before(element, parent)) break;
      this.#place(parent, index);
      index = parentIndex;
    }
    this.#place(element, index);
  }

  #down(start: number): void {
    let index = start;
    const element = this.#elements[index];
    if (element === undefined) return;
    for (;;) {
      const left = this.#elements[2 * index + 1];
      const right = this.#elements[2 * index + 2];
      const child = right !== undefined && left !== undefined && this.#before(right, left) ? right : left;
      if (child === undefined || !this.#before(child, element)) break;
      const childIndex = child.heapIndex;
      this.#place(child, index);
      index = childIndex;
    }
    this.#place(element, index);
  }
}
