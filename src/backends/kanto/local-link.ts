/** Transport Local: the devices' own topics, on their own broker or on one that bridges several of them below prefixes. */
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import type { TopicDialect } from "./mqtt-transport.ts";
import { kantoTopics, routeTopic } from "./topics.ts";

export const LOCAL: TopicDialect = {
  mqttVersion: BACKEND_DEFAULTS.kanto.mqttVersion,
  traits: { inventory: "Announce", replyFilter: false },
  address: ({ topicPrefix }) => topicPrefix,
  // Announcements carry no address: two gateways below one prefix would each take the other's identity.
  clash: ({ topicPrefix, gatewayId }) => {
    const where = topicPrefix === "" ? "this broker" : `this broker below ${topicPrefix}`;
    return `${where} already belongs to gateway ${gatewayId}: a broker carries one gateway, so give each device a broker of its own, or a spec.kanto.topicPrefix of its own with a bridge that adds it`;
  },
  filters: (target) => kantoTopics(target).filters,
  request: (target, { requestId, operation }) => kantoTopics(target).command(requestId, operation.operation),
  announcement: (target) => kantoTopics(target).identityResponse,
  find: (topic, attached) => {
    // Prefixes end with a slash; the longest one that fits is the most particular.
    let end = topic.length;
    for (;;) {
      const found = attached.get(topic.slice(0, end));
      if (found !== undefined || end === 0) return found;
      end = end === 1 ? 0 : topic.lastIndexOf("/", end - 2) + 1;
    }
  },
  route: routeTopic,
};
