import fc from "fast-check";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { annotatedSchema } from "../../../src/crds/generate/openapi.ts";
import { problemsOf, SCHEMAS } from "../../../src/crds/parse.ts";
import { edgePath, KubeAdmin, messageOf } from "../../kube-admin.ts";
import { arbitraryOf, withMistake } from "../../support/arbitrary-crd.ts";
import { PLURALS, type Kind, type LooseSpec } from "./objects.ts";

let kube: KubeAdmin;
let namespace: string;
beforeAll(async () => {
  kube = new KubeAdmin(inject("controlPlane").kubeconfig);
  namespace = await kube.namespace("agreement");
});
afterAll(async () => kube[Symbol.asyncDispose]());

const RUNS = 400;
const IMAGE = { image: "docker.io/library/nginx:1.27" };

/** Most generated specs are refused for the one field that they lack, or for names that do not fit each other. */
const COMPLETE: Record<Kind, (spec: LooseSpec) => LooseSpec> = {
  EdgeContainer: (spec) => ({ ...IMAGE, ...spec }),
  EdgeDevice: (spec) => spec,
  EdgeBackend: (spec) => ({ credentialsSecretRef: { name: "s" }, ...spec }),
  EdgeStack: (spec) => ({
    ...spec,
    containers: (spec["containers"] as LooseSpec[]).map((each, index) => ({
      name: `c${index}`,
      template: Object.assign({}, IMAGE, each["template"]),
      ...(index > 0 && { dependsOn: [{ name: `c${index - 1}` }] }),
    })),
  }),
  EdgeRegistry: (spec) => spec,
};

test.each(Object.keys(PLURALS) as Kind[])(
  "the API server and run-time parsing agree on generated specs of %s, good and bad",
  async (kind) => {
    const schema = SCHEMAS[kind].spec;
    const generated = arbitraryOf(annotatedSchema(schema));
    const good = fc.oneof(
      generated,
      generated.map((spec) => COMPLETE[kind](spec as LooseSpec) as typeof spec),
    );
    const any = fc.oneof(good, good.chain(withMistake));
    const count = { accepted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(any, async (spec) => {
        const answer = await kube.create(`${edgePath(namespace, PLURALS[kind])}?dryRun=All`, {
          apiVersion: "edge.drayage.dev/v1alpha1",
          kind,
          metadata: { name: "x" },
          spec,
        });
        const parsed = schema.safeParse(spec);
        const ours = parsed.success ? "accepted" : `refused: ${JSON.stringify(problemsOf(parsed.error, "spec"))}`;
        const theirs = answer.status === 201 ? "accepted" : `refused: ${messageOf(answer)}`;
        if (answer.status !== 201) expect([400, 422]).toContain(answer.status);
        expect(ours.split(":")[0], `server ${theirs}\nparser ${ours}`).toBe(theirs.split(":")[0]);
        // What the server keeps is what the parser gives.
        if (parsed.success) expect(answer.body["spec"]).toEqual(parsed.data);
        count[parsed.success ? "accepted" : "refused"]++;
      }),
      { numRuns: RUNS },
    );
    // Else the property would say little; a rule of fewer fields is hit less often.
    expect(count.accepted).toBeGreaterThan(RUNS / 20);
    expect(count.refused).toBeGreaterThan(RUNS / 20);
  },
);
