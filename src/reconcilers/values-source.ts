/** Secrets and ConfigMaps from the API server, with metadata-only watches where RBAC allows them. */
import { isUtf8 } from "node:buffer";
import type { KubeClient } from "../kube/client.ts";
import { Reflector } from "../kube/reflector.ts";
import type { KubeObject, ObjectKey } from "../kube/types.ts";
import { NotText, type ValueData, type ValueKind, type ValueSource } from "./references.ts";
import { CONFIG_MAPS, SECRETS } from "./resources.ts";

/** A ValueSource over the API server. */
export class ApiValueSource implements ValueSource {
  readonly #client: KubeClient;
  readonly #watches: Record<ValueKind, Reflector<KubeObject>>;

  /** @param onChange told which object has changed, appeared or gone. */
  constructor(
    client: KubeClient,
    options: {
      namespace?: string | undefined;
      onChange: (kind: ValueKind, key: ObjectKey) => void;
      onFailure: (kind: ValueKind, error: unknown) => void;
    },
  ) {
    this.#client = client;
    const watch = (kind: ValueKind): Reflector<KubeObject> => {
      const reflector = new Reflector<KubeObject>({
        client,
        resource: kind === "Secret" ? SECRETS : CONFIG_MAPS,
        namespace: options.namespace,
        metadataOnly: true,
        transform: bare,
        onFailure: (error) => options.onFailure(kind, error),
      });
      reflector.store.onEvent((event) => {
        const { namespace = "", name } = event.object.metadata;
        options.onChange(kind, { namespace, name });
      });
      return reflector;
    };
    this.#watches = { Secret: watch("Secret"), ConfigMap: watch("ConfigMap") };
  }

  /** Follows both kinds until the signal aborts. Never rejects: without permission it goes on asking, slowly. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#watches.Secret.run(signal), this.#watches.ConfigMap.run(signal)]);
  }

  async read(kind: ValueKind, key: ObjectKey): Promise<{ data: ValueData; resourceVersion: string }> {
    if (kind === "Secret") {
      const { data, metadata } = await this.#client.get(SECRETS, key);
      const entries = Object.entries(data ?? {}).map(([name, value]) => [name, decode(value)] as const);
      return { data: new Map(entries), resourceVersion: metadata.resourceVersion };
    }
    const { data, metadata } = await this.#client.get(CONFIG_MAPS, key);
    return { data: new Map(Object.entries(data ?? {})), resourceVersion: metadata.resourceVersion };
  }

  isWatched(kind: ValueKind): boolean {
    const watch = this.#watches[kind];
    return watch.synced && watch.lastError === undefined;
  }

  watchedVersion(kind: ValueKind, key: ObjectKey): string | null | undefined {
    const watch = this.#watches[kind];
    if (!this.isWatched(kind)) return undefined;
    return watch.store.get(key)?.metadata.resourceVersion ?? null;
  }
}

/** A value of a Secret's data. */
export function decode(base64: string): string | NotText {
  const bytes = Buffer.from(base64, "base64");
  const text = bytes.toString("utf8");
  return isUtf8(bytes) ? text : new NotText(text);
}

/** Only what tells versions apart is kept. */
function bare(object: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: { name, uid, resourceVersion, ...(namespace !== undefined && { namespace }) },
  };
}
