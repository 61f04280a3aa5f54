/** What each field of EdgeContainer.spec comes to on a Kanto device (EdgeBackend.status.capabilities). */
import type { Capability } from "../../contract.ts";

const native = (path: string, note?: string): Capability => ({
  path,
  level: "Native",
  ...(note !== undefined && { note }),
});
const emulated = (path: string, note: string): Capability => ({ path, level: "Emulated", note });
const unsupported = (path: string, note: string): Capability => ({ path, level: "Unsupported", note });

export const CAPABILITIES: readonly Capability[] = [
  native("name", "changed in place; not unique on the device"),
  native("image", "fully qualified; pulled by the device; without tag or digest: latest"),
  native("imagePullPolicy=IfNotPresent"),
  unsupported("imagePullPolicy=Always", "an image that the device has is never pulled again: use digests or new tags"),
  unsupported("imagePullPolicy=Never", "the device pulls what it does not have"),
  unsupported("registryRefs", "credentials stand in the daemon's configuration on the device"),
  unsupported("imagePullSecrets", "credentials stand in the daemon's configuration on the device"),
  emulated("desiredState=Stopped", "policies Always and OnFailure are held at No while stopped"),
  native("desiredState=Running"),
  native("desiredState=Paused"),
  unsupported("command", "the image's ENTRYPOINT cannot be replaced"),
  native("args"),
  native(
    "env",
    "names of letters, digits and _; no line feeds; HOSTNAME is always set; values can be read on the device's broker",
  ),
  native("envFrom", "resolved by Drayage"),
  native("ports", "IPv4"),
  unsupported("ports.protocol=HTTPS", "no TLS before the container"),
  native("volumes.hostPath", "must exist on the device"),
  native("volumes.propagation"),
  unsupported("volumes.volumeName", "no named volumes"),
  unsupported("volumes.readOnly", "no read-only mounts"),
  unsupported("resources.limits.cpu", "no CPU limits"),
  native("resources.limits.memory", "changed in place; whole KiB, at least 3Mi"),
  native("resources.reservations.memory", "changed in place; whole KiB"),
  native("resources.memorySwap", "changed in place; unset: twice the memory"),
  native("restartPolicy", "changed in place; carried out by the device; unset: UnlessStopped"),
  native("network.mode"),
  native("network.hostname", "not in mode Host"),
  native("network.domainname"),
  native("network.extraHosts", "host_ip and container_<hostname> are reserved addresses; IPv4"),
  native("securityContext.privileged"),
  native("securityContext.capabilities.add", "the device ignores names that it does not know"),
  native("devices", "not together with privileged"),
  native("logging"),
  native("tty"),
  native("stdin"),
  unsupported("startupScript", "no startup scripts"),
  unsupported("sshPublicKeys", "no SSH access"),
  native("stop.signal"),
  native("stop.timeoutSeconds"),
  native("stop.force", "killed after twice the timeout at the latest"),
  native("backendOptions.kanto.decryption", "paths on the device; what the Secrets say can be read on its broker"),
];
