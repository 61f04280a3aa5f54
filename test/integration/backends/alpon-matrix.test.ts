/** Every wish about a container on an ALPON against everything that may befall the vendor, the device, and what people do beside us. */
import { FAULTS } from "./alpon-matrix/faults.ts";
import { ALPON, ROWS, type Alpon } from "./alpon-matrix/rows.ts";
import type { Row } from "./vendor-matrix/cell.ts";
import { httpFaults, type HttpEffect } from "./vendor-matrix/http-faults.ts";
import { describeMatrix } from "./vendor-matrix/suite.ts";

type Kind = "deploy" | "update" | "delete" | "list" | "status" | "asset" | "assets";

describeMatrix(ALPON, ROWS, [
  ...httpFaults<Kind, Alpon>(
    {
      deploy: "written",
      update: "written",
      delete: "written",
      list: "read",
      status: "read",
      asset: "read",
      assets: "read",
    },
    more,
  ),
  ...FAULTS,
]);

/** An update changes nothing when it is carried out again, so it is sent again where its effect is not to be seen. */
function more(kind: Kind, { kind: effect, ...rest }: HttpEffect, isLong: boolean, { name }: Row<Alpon>): number {
  if (name !== "update") return 0;
  if (kind === "list" && effect === "stale" && isLong) return 30;
  const isRefusedAfterwards = "when" in rest && rest.when === "after" && "status" in rest && rest.status === 401;
  return effect === "twice" || isRefusedAfterwards ? 1 : 0;
}
