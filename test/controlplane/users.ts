// Users of a test control plane: their RBAC objects, and waiting until the API server's authorizer knows them.

import { setTimeout as delay } from "node:timers/promises";
import { messageOf, type ApiClient } from "./admin.ts";

/** rbac.authorization.k8s.io/v1 PolicyRule. */
export interface PolicyRule {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const GROUP = "rbac.authorization.k8s.io";

/**
 * Gives the user these rules, in one namespace (made if need be) or in all of them; rules given earlier under the same name and scope
 * are replaced.
 */
export async function grant(admin: ApiClient, user: string, rules: PolicyRule[], namespace?: string): Promise<void> {
  const name = `test-user:${user}`;
  const scope = namespace === undefined ? RBAC : `${RBAC}/namespaces/${namespace}`;
  const prefix = namespace === undefined ? "Cluster" : "";
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  if (namespace !== undefined) {
    await admin.apply(`/api/v1/namespaces/${namespace}`, {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace },
    });
  }
  const path = encodeURIComponent(name);
  await admin.apply(`${scope}/${prefix.toLowerCase()}roles/${path}`, {
    apiVersion: `${GROUP}/v1`,
    kind: `${prefix}Role`,
    metadata,
    rules,
  });
  await admin.apply(`${scope}/${prefix.toLowerCase()}rolebindings/${path}`, {
    apiVersion: `${GROUP}/v1`,
    kind: `${prefix}RoleBinding`,
    metadata,
    roleRef: { apiGroup: GROUP, kind: `${prefix}Role`, name },
    subjects: [{ apiGroup: GROUP, kind: "User", name: user }],
  });
}

/**
 * Waits until the API server grants the user what the rules say: its authorizer reads RBAC objects through a cache.
 * @param client authenticated as that user
 * @throws when that takes over 30 s
 */
export async function untilGranted(client: ApiClient, rules: PolicyRule[], namespace?: string): Promise<void> {
  const reviews = rules.flatMap((rule) => reviewOf(rule, namespace));
  let last = "";
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; await delay(20)) {
    const answers = await Promise.all(reviews.map(async (spec) => isAllowed(client, spec)));
    const refused = answers.find((answer) => answer !== "allowed");
    if (refused === undefined) {
      return;
    }
    last = refused;
  }
  throw new Error(`the API server does not grant the rules after 30 s: ${last}`);
}

/** One SelfSubjectAccessReview for a rule: the object becomes visible to the authorizer as a whole, so one question per rule is enough. */
function reviewOf(rule: PolicyRule, namespace?: string): object[] {
  const verb = rule.verbs[0];
  if (verb === undefined) {
    return [];
  }
  const url = rule.nonResourceURLs?.[0];
  if (url !== undefined) {
    return [{ nonResourceAttributes: { path: url.replace(/\*$/, ""), verb } }];
  }
  const [resource, subresource] = (rule.resources?.[0] ?? "").split("/");
  return [
    {
      resourceAttributes: {
        group: rule.apiGroups?.[0] ?? "",
        resource,
        ...(subresource === undefined ? {} : { subresource }),
        verb,
        ...(rule.resourceNames?.[0] === undefined ? {} : { name: rule.resourceNames[0] }),
        ...(namespace === undefined ? {} : { namespace }),
      },
    },
  ];
}

async function isAllowed(client: ApiClient, spec: object): Promise<string> {
  const answer = await client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
    body: { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec },
  });
  const review = answer.body as { status?: { allowed?: boolean } };
  return review.status?.allowed === true ? "allowed" : `${JSON.stringify(spec)}: ${messageOf(answer.body)}`;
}
