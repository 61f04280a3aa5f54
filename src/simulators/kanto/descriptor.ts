// Container descriptors: the daemon's own file format (snake_case), as SoftwareUpdatable downloads them. Fields that no simulated container
// can show (hooks, network settings, runtime) are left aside. Source: containerm/containers/types/*.go.

import { fromWire, type WireConfig } from "./arguments.ts";
import { isObject } from "./go-json.ts";
import type { CreateSpec } from "./types.ts";

type Json = Record<string, unknown>;

/** What a descriptor asks to create; wrongly typed fields count as absent. */
export function descriptorSpec(descriptor: Json): CreateSpec {
  const host = object(descriptor["host_config"]);
  const io = object(descriptor["io_config"]);
  const config = object(descriptor["config"]);
  const policy = host["restart_policy"] === undefined ? undefined : object(host["restart_policy"]);
  const log = host["log_config"] === undefined ? undefined : object(host["log_config"]);
  const driver = object(log?.["driver_config"]);
  const mode = object(log?.["mode_config"]);
  const resources = host["resources"] === undefined ? undefined : object(host["resources"]);
  const wire: WireConfig = {
    domainName: text(descriptor["domain_name"]),
    hostName: text(descriptor["host_name"]),
    env: texts(config["env"]),
    cmd: texts(config["cmd"]),
    privileged: host["privileged"] === true,
    extraHosts: texts(host["extra_hosts"]),
    extraCapabilities: texts(host["extra_capabilities"]),
    networkMode: text(host["network_mode"]),
    openStdin: io["open_stdin"] === true,
    tty: io["tty"] === true,
    mountPoints: objects(descriptor["mount_points"]).map((mount) => ({
      source: text(mount["source"]),
      destination: text(mount["destination"]),
      propagationMode: text(mount["propagation_mode"]).toUpperCase(),
    })),
    devices: objects(host["devices"]).map((device) => ({
      pathOnHost: text(device["path_on_host"]),
      pathInContainer: text(device["path_in_container"]),
      cgroupPermissions: text(device["cgroup_permissions"]),
    })),
    portMappings: objects(host["port_mappings"]).map((mapping) => ({
      proto: text(mapping["proto"]),
      hostPort: number(mapping["host_port"]),
      hostPortEnd: number(mapping["host_port_end"]),
      containerPort: number(mapping["container_port"]),
      hostIP: text(mapping["host_ip"]),
    })),
    ...(policy
      ? {
          restartPolicy: {
            type: text(policy["type"]),
            maxRetryCount: number(policy["maximum_retry_count"]),
            // A Go duration: nanoseconds.
            retryTimeout: number(policy["retry_timeout"]) / 1e9,
          },
        }
      : {}),
    ...(log
      ? {
          log: {
            type: text(driver["type"]),
            maxFiles: number(driver["max_files"]),
            maxSize: text(driver["max_size"]),
            rootDir: text(driver["root_dir"]),
            mode: text(mode["mode"]),
            maxBufferSize: text(mode["max_buffer_size"]),
          },
        }
      : {}),
    ...(resources
      ? {
          resources: {
            memory: text(resources["memory"]),
            memoryReservation: text(resources["memory_reservation"]),
            memorySwap: text(resources["memory_swap"]),
          },
        }
      : {}),
  };
  const id = text(descriptor["container_id"]);
  return {
    ...(id === "" ? {} : { id }),
    name: text(descriptor["container_name"]),
    imageRef: text(object(descriptor["image"])["name"]),
    config: fromWire(wire),
  };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const object = (value: unknown): Json => (isObject(value) ? value : {});
const objects = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
