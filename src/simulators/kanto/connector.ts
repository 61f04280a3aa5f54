// A stand-in for the cloud connector on a device's broker, as far as the container daemon sees it: it answers the request for an identity, and
// announces it anew. Unlike the real one it publishes with QoS 1 and does not depend on a cloud link. Source: suite-connector's
// routing/service.go (ParamsBus, SendGwParams).

import { randomUUID } from "node:crypto";
import { systemClock, type Clock } from "../clock.ts";
import { IDENTITY_REQUEST, IDENTITY_RESPONSE, type Identity } from "./daemon.ts";
import { MqttClient } from "./mqtt-client.ts";
import type { Credentials, TlsOptions } from "./mqtt-socket.ts";

export interface ConnectorOptions {
  brokerUrl: string;
  credentials?: Credentials;
  tls?: TlsOptions;
  deviceId: string;
  /** Default `t1`. */
  tenantId?: string;
  /** Default `edge:policy`. */
  policyId?: string;
  networkClock?: Clock;
  /** First delay of a reconnection, ms. Default 1000. */
  reconnectMs?: number;
}

export interface Connector {
  /** Announces the device; another policy than before makes the daemon publish all its features again. */
  announce(policyId?: string): Promise<void>;
  /** While paused it answers nothing, as with the cloud link down. */
  pause(): void;
  resume(): void;
  stop(): void;
}

/** Starts a connector for one device. Resolves when it is subscribed. */
export async function startConnector(options: ConnectorOptions): Promise<Connector> {
  const { brokerUrl, credentials, tls, networkClock, reconnectMs } = options;
  let identity: Identity = {
    deviceId: options.deviceId,
    tenantId: options.tenantId ?? "t1",
    policyId: options.policyId ?? "edge:policy",
  };
  let paused = false;
  const ready = Promise.withResolvers<void>();
  const announce = async (): Promise<void> => client.publish(IDENTITY_RESPONSE, JSON.stringify(identity));
  let connectedBefore = false;
  const subscribed = (): void => {
    // After a broker's restart the daemon may have asked before anybody was there to hear it, and it asks once per connection: whoever comes
    // back second has to speak first.
    if (connectedBefore && !paused) {
      announce().catch(() => undefined);
    }
    connectedBefore = true;
    ready.resolve();
  };
  const client = new MqttClient({
    url: brokerUrl,
    clientId: `connector-${randomUUID()}`,
    clock: networkClock ?? systemClock,
    ...(credentials ? { credentials } : {}),
    ...(tls ? { tls } : {}),
    ...(reconnectMs === undefined ? {} : { reconnectMs }),
    onConnect: () => {
      // A subscription that failed with its connection is made again on the next one.
      client.subscribe(IDENTITY_REQUEST).then(subscribed, () => undefined);
    },
    onMessage: async () => {
      if (!paused) {
        await announce().catch(() => undefined);
      }
    },
  });
  client.start();
  await ready.promise;
  return {
    announce: async (policyId = identity.policyId) => {
      identity = { ...identity, policyId };
      await announce();
    },
    pause: () => {
      paused = true;
    },
    resume: () => {
      paused = false;
    },
    stop: () => client.end(true),
  };
}
