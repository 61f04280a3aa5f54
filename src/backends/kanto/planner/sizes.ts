/**
 * Kubernetes quantities as the daemon's sizes: whole KiB, MiB or GiB with a suffix K, M or G (util/bytes_size_conversion.go). The daemon
 * takes no bytes, so a quantity that is no whole number of KiB cannot be asked for.
 */
import { parseQuantity, type Quantity } from "../../../crds/quantity.ts";

const KIBIBYTE = 1024;

/** Bytes of a quantity; undefined if it is none, e.g. in an object that was never validated. */
export function quantityBytes(value: Quantity): number | undefined {
  try {
    return parseQuantity(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** What is wrong with a size for this daemon, naming the nearest good one; undefined if nothing. */
export function sizeProblem(path: string, value: Quantity): string | undefined {
  const bytes = quantityBytes(value);
  if (bytes === undefined) return `${path} is not a quantity: write e.g. 64Mi`;
  if (Number.isSafeInteger(bytes) && bytes > 0 && bytes % KIBIBYTE === 0) return undefined;
  const nearest = Math.max(1, Math.round(bytes / KIBIBYTE));
  return `${path} is ${bytes} bytes, and the device takes whole KiB only: write ${nearest}Ki`;
}
