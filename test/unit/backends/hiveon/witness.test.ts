import { describe, expect, test } from "vitest";
import { Witness, type Missing, type Verdict } from "../../../../src/backends/hiveon/witness.ts";

const SETTLE_MS = 1_000;

/** One account, and a clock that moves with each answer. */
function bench() {
  let nowMs = 0;
  let asked = 0;
  const witness = new Witness(() => (asked += 1));
  const shown = (externalId: string, under?: string): void => witness.shown(externalId, { isLive: true, under }, nowMs);
  const absent = (externalId: string, rental: Partial<Missing> = {}): Verdict =>
    witness.missing(
      { externalId, deploymentId: `d-${externalId}`, hasRun: true, isExpected: false, ...rental },
      SETTLE_MS,
      nowMs,
    );
  const pass = (ms: number): void => void (nowMs += ms);
  /** The vendor goes on saying so past the settle time. */
  const insist = (externalId: string, rental: Partial<Missing> = {}): Verdict => {
    absent(externalId, rental);
    pass(SETTLE_MS);
    absent(externalId, rental);
    return absent(externalId, rental);
  };
  return { witness, shown, absent, insist, pass, asked: () => asked };
}

describe("the vendor's word that a rental does not exist", () => {
  test("counts after three times over the settle time, and begins anew when it was shown again", () => {
    const { shown, absent, pass } = bench();
    shown("a");
    expect([absent("a"), absent("a"), absent("a")].map(({ gone }) => gone)).toEqual(["Wait", "Wait", "Wait"]);
    pass(SETTLE_MS);
    shown("a");
    expect(absent("a").gone).toBe("Wait");
    pass(SETTLE_MS);
    shown("b");
    expect([absent("a").gone, absent("a").gone]).toEqual(["Wait", "Yes"]);
  });

  test("counts of one that was recorded with these credentials, also if this process never saw it, while another is shown", () => {
    const { insist, shown, absent, pass } = bench();
    expect(insist("a").gone).toBe("Held");
    pass(1);
    shown("b");
    expect(absent("a").gone).toBe("Yes");
  });

  test("does not count of the only one that is known: an API that has moved says so of everything", () => {
    const { insist, shown, absent } = bench();
    shown("a");
    expect(insist("a")).toMatchObject({ gone: "Held", why: expect.stringContaining("spec.hiveon.url") as string });
    expect(absent("a", { isExpected: true }).gone).toBe("Yes");
  });

  test("does not count of one that was recorded with others, until one of theirs is shown", () => {
    const { insist, shown, absent, pass } = bench();
    expect(insist("a", { under: "former" })).toMatchObject({
      gone: "Held",
      why: expect.stringContaining("d-a") as string,
    });
    pass(1);
    shown("b", "former");
    expect(absent("a", { under: "former" }).gone).toBe("Yes");
    expect(insist("c", { under: "another" }).gone).toBe("Held");
  });

  test("that is held names what a person can say to end it", () => {
    const wayOut = 'annotation edge.drayage.dev/confirm-ended: "d-a"';
    const why = { gone: "Held", why: expect.stringContaining(wayOut) as string };
    expect(bench().insist("a", { under: "former" })).toMatchObject(why);
    expect(bench().insist("a", { hasRun: false })).toMatchObject(why);
    const all = bench();
    all.shown("a");
    all.shown("b");
    all.insist("b");
    expect(all.insist("a")).toMatchObject(why);
  });

  test("does not count of one that was accepted and never shown", () => {
    const { insist, shown, absent, pass } = bench();
    shown("b");
    expect(insist("a", { hasRun: false }).gone).toBe("Held");
    insist("b", { hasRun: false });
    pass(1);
    shown("c");
    expect(["a", "b"].map((id) => absent(id, { hasRun: false }).gone)).toEqual(["Held", "Yes"]);
  });

  test("counts only if another one is still shown after it, and all others are asked for first", () => {
    const { insist, shown, absent, pass, asked } = bench();
    shown("a");
    shown("b");
    expect([insist("a").gone, absent("a").gone, asked()]).toEqual(["Wait", "Wait", 1]);
    pass(1);
    shown("b");
    expect(absent("a").gone).toBe("Yes");
  });

  test("counts of none while all are missing at once, and of the other once one is back", () => {
    const { insist, shown, absent, pass } = bench();
    shown("a");
    shown("b");
    insist("b");
    expect([insist("a").gone, absent("b").gone]).toEqual(["Held", "Held"]);
    pass(1);
    shown("a");
    expect(absent("b").gone).toBe("Yes");
  });

  test("counts of what has ended or is ending, whatever else is missing, and that is no hint about others", () => {
    const { insist, shown, absent } = bench();
    shown("a");
    shown("b");
    expect(insist("a").gone).toBe("Wait");
    expect(insist("b", { isExpected: true, under: "former" }).gone).toBe("Yes");
    expect(absent("a")).toMatchObject({ why: expect.stringContaining("no other that it still shows") as string });
  });

  test("is forgotten with the rental", () => {
    const { witness, shown, absent } = bench();
    shown("a");
    absent("b");
    witness.forget("a");
    witness.forget("b");
    witness.shown("c", { isLive: false }, 0);
    expect(witness.size).toBe(0);
  });
});
