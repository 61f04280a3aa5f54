import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RentalModel, type Event, type Fate, type ReRent } from "./rental-model.ts";

const fate = fc.constantFrom<Fate>(
  "Works",
  "Works",
  "DiesBeforeJournal",
  "DiesAfterJournal",
  "LostBefore",
  "LostAfter",
  "Refused",
);
const pass = fate.map((how): Event => ({ do: "pass", fate: how }));
const reRents = fc.constantFrom<ReRent>("Never", "OnSpecChange", "OnFailure", "Always");
const vendorMoves = fc
  .constantFrom("on", "on", "on", "fails", "ends")
  .map((moves): Event => ({ do: "vendor", moves: moves as "on" }));
const edits = fc.oneof(
  fc.constantFrom("a", "b", "c").map((image): Event => ({ do: "edit", image })),
  fc.constantFrom("Running" as const, "Stopped" as const).map((state): Event => ({ do: "wish", state })),
  fc.constant<Event>({ do: "restart" }),
);
const trouble = fc.constantFrom<Event>({ do: "restartProcess" }, { do: "loseRecords" });
const events = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: pass },
    { weight: 3, arbitrary: fc.constant<Event>({ do: "settle" }) },
    { weight: 4, arbitrary: vendorMoves },
    { weight: 2, arbitrary: edits },
    { weight: 1, arbitrary: reRents.map((reRent): Event => ({ do: "allow", reRent })) },
    { weight: 1, arbitrary: trouble },
  ),
  { maxLength: 80 },
);

describe("whatever is lost, killed or edited", () => {
  test("an object never has two rentals at a time", () => {
    fc.assert(
      fc.property(reRents, events, (reRent, story) => {
        const model = new RentalModel();
        model.reRent = reRent;
        for (const event of story) {
          model.happen(event);
          expect(model.live().length).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("under Never an object rents once in its life, unless the vendor refused or never got it", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            pass,
            fc.constant<Event>({ do: "settle" }),
            vendorMoves,
            edits,
            fc.constant<Event>({ do: "restartProcess" }),
          ),
          { maxLength: 80 },
        ),
        (story) => {
          const model = new RentalModel();
          for (const event of story) model.happen(event);
          model.settle();
          expect(model.rentals.length).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("a deletion ends with nothing that costs, and only then says that it is done", () => {
    fc.assert(
      fc.property(reRents, events, (reRent, story) => {
        const model = new RentalModel();
        model.reRent = reRent;
        for (const event of story) model.happen(event);
        for (let round = 0; round < 20; round++) {
          model.settle();
          const step = model.pass("Works", true);
          if (step === "None") expect(model.live()).toEqual([]);
          model.happen({ do: "vendor", moves: "on" });
        }
        expect(model.live()).toEqual([]);
        expect(model.pass("Works", true)).toBe("None");
      }),
      { numRuns: 1000 },
    );
  });

  test("with Always and a vendor that works, the object ends up running what the spec says, once", () => {
    fc.assert(
      fc.property(events, (story) => {
        const model = new RentalModel();
        for (const event of story) model.happen(event);
        model.happen({ do: "allow", reRent: "Always" });
        model.happen({ do: "wish", state: "Running" });
        for (let round = 0; round < 40; round++) {
          model.settle();
          model.pass("Works");
          model.happen({ do: "vendor", moves: "on" });
        }
        expect(model.live()).toMatchObject([{ state: "Running", image: model.image }]);
        const before = model.starts.length;
        for (let round = 0; round < 5; round++) model.pass("Works");
        expect(model.starts).toHaveLength(before);
      }),
      { numRuns: 1000 },
    );
  });

  test("managementPolicy Observe begins nothing and ends nothing", () => {
    fc.assert(
      fc.property(reRents, events, (reRent, story) => {
        const model = new RentalModel();
        model.reRent = reRent;
        model.happen({ do: "pass", fate: "Works" });
        model.managementPolicy = "Observe";
        const before = model.starts.length;
        for (const event of story) {
          const stopping = model.live().some(({ state }) => state === "Stopping");
          model.happen(event);
          if (!stopping) expect(model.live().every(({ state }) => state !== "Stopping")).toBe(true);
        }
        expect(model.starts).toHaveLength(before);
      }),
    );
  });
});
