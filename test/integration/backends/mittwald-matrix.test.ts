/** Every wish about a service on mittwald against everything that may befall the vendor, and what people do in the same stack. */
import { MITTWALD, ROWS } from "./mittwald-matrix/rows.ts";
import { describeMatrix } from "./vendor-matrix/suite.ts";

describeMatrix(MITTWALD, ROWS, []);
