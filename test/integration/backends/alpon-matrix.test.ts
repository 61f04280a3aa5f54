/** Every wish about a container on an ALPON against everything that may befall the vendor, the device, and what people do beside us. */
import { ALPON, ROWS, type Alpon } from "./alpon-matrix/rows.ts";
import { httpFaults } from "./vendor-matrix/http-faults.ts";
import { describeMatrix } from "./vendor-matrix/suite.ts";

type Kind = "deploy" | "update" | "delete" | "list" | "status" | "asset" | "assets";

describeMatrix(ALPON, ROWS, [
  ...httpFaults<Kind, Alpon>({
    deploy: "written",
    update: "written",
    delete: "written",
    list: "read",
    status: "read",
    asset: "read",
    assets: "read",
  }),
]);
