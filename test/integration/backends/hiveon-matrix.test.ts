/** Every wish about a rented machine against everything that may befall the vendor, the rental, and what people do beside us. */
import { FAULTS } from "./hiveon-matrix/faults.ts";
import { HIVEON, ROWS, type Hiveon } from "./hiveon-matrix/rows.ts";
import { httpFaults } from "./vendor-matrix/http-faults.ts";
import { describeMatrix } from "./vendor-matrix/suite.ts";

type Kind = "start" | "stop" | "status";

const REQUESTS = httpFaults<Kind, Hiveon>({ start: "written", stop: "written", status: "read" });

describeMatrix(HIVEON, ROWS, [
  // A start that a gateway repeats rents twice where the vendor lets it: what the caller does cannot prevent that.
  ...REQUESTS.filter(({ name }) => !name.startsWith("start: a gateway repeats it")),
  ...FAULTS,
]);
