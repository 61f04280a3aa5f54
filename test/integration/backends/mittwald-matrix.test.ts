/** Every wish about a service on mittwald against everything that may befall the vendor, and what people do in the same stack. */
import type { Effect, Operation } from "../../../src/simulators/mittwald/index.ts";
import { FAULTS, wordOf } from "./mittwald-matrix/faults.ts";
import { MITTWALD, ROWS, type Mittwald } from "./mittwald-matrix/rows.ts";
import { faultsInWordsOf } from "./vendor-matrix/http-faults.ts";
import { describeMatrix } from "./vendor-matrix/suite.ts";

describeMatrix(MITTWALD, ROWS, [
  ...faultsInWordsOf<Operation, Effect, Mittwald>(
    {
      "list-self-stacks": "read",
      "list-stacks": "read",
      "get-stack": "read",
      "get-container-image-config": "read",
      "update-stack": "written",
      "recreate-service": "written",
      "restart-service": "written",
      "stop-service": "written",
    },
    wordOf,
    // What a gateway repeats is done twice; only what is declared makes no difference.
    (kind, { kind: effect }) => (effect === "twice" && kind !== "update-stack" ? 1 : 0),
  ),
  ...FAULTS,
]);
