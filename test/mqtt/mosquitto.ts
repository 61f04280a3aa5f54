// Starts the real mosquitto, for what aedes cannot show: MQTT 5 (with PUBACK reason codes) and another implementation's opinion. It speaks
// MQTT 3.1, 3.1.1 and 5 on the same listener; mosquitto.conf(5) is the source of every setting below. A test that needs it asks
// `findMosquitto()` first and names the missing binary as its reason where there is none.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { portOf } from "./broker.ts";
import { issueCertificates, type Certificates } from "./certificates.ts";

export interface MosquittoOptions {
  /** User name -> password; without it everyone may connect. */
  users?: Record<string, string>;
  /** Listen with TLS, with a certificate for `localhost` and 127.0.0.1 of a CA made for this broker. */
  tls?: boolean;
  /** TLS that also demands a client certificate of the same CA. */
  mtls?: boolean;
  /** Extra lines of mosquitto.conf. */
  config?: string[];
}

export interface Mosquitto {
  /** `mqtt://127.0.0.1:<port>`, or `mqtts://localhost:<port>` with tls or mtls. */
  readonly url: string;
  readonly port: number;
  /** Present with tls or mtls: the CA to trust and a client certificate it signed. */
  readonly certificates?: Certificates;
  /** What mosquitto logged so far (all log types). */
  log(): string;
  /** Kills it without a farewell (SIGKILL) and starts it again on the same port; nothing is persisted, so all sessions are gone. */
  restart(): Promise<void>;
  /** Ends the process and removes its files. */
  close(): Promise<void>;
}

/** Path of the mosquitto binary in PATH or /usr/sbin and /usr/local/sbin; undefined where it is not installed. */
export function findMosquitto(): string | undefined {
  return findBinary("mosquitto");
}

function findBinary(name: string): string | undefined {
  const folders = [
    ...(process.env["PATH"] ?? "").split(delimiter),
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/homebrew/sbin",
  ];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/**
 * Starts mosquitto on a free port of 127.0.0.1 and waits until it accepts connections.
 * @throws when the binary is missing, or does not come up within 10 s three times in a row (its log is in the message).
 */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const binary = findMosquitto();
  if (!binary) {
    throw new Error("mosquitto is not installed");
  }
  const folder = mkdtempSync(join(tmpdir(), "mosquitto-"));
  const secured = (options.tls ?? false) || (options.mtls ?? false);
  const certificates = secured ? await issueCertificates() : undefined;
  const settings = [
    "persistence false",
    "log_dest stderr",
    "log_type all",
    `allow_anonymous ${options.users ? "false" : "true"}`,
  ];
  if (process.getuid?.() === 0) {
    // As root it would change to the user `mosquitto`, who cannot read this folder.
    settings.push("user root");
  }
  if (options.users) {
    settings.push(`password_file ${passwordFile(folder, options.users)}`);
  }
  if (certificates) {
    const paths = { ca: join(folder, "ca.pem"), cert: join(folder, "server.pem"), key: join(folder, "server.key") };
    writeFileSync(paths.ca, certificates.ca);
    writeFileSync(paths.cert, certificates.server.cert);
    writeFileSync(paths.key, certificates.server.key, { mode: 0o600 });
    settings.push(`cafile ${paths.ca}`, `certfile ${paths.cert}`, `keyfile ${paths.key}`);
    settings.push(`require_certificate ${options.mtls ? "true" : "false"}`);
  }
  settings.push(...(options.config ?? []));

  let log = "";
  let child: ChildProcess | undefined;
  const end = async (): Promise<void> => {
    const ending = child;
    child = undefined;
    if (ending && ending.exitCode === null && ending.signalCode === null) {
      const exited = once(ending, "exit");
      ending.kill("SIGKILL");
      await exited;
    }
  };
  const start = async (port: number): Promise<boolean> => {
    const configFile = join(folder, "mosquitto.conf");
    // A listener line must stand before the settings that belong to it (cafile and so on).
    writeFileSync(configFile, [`listener ${port} 127.0.0.1`, ...settings, ""].join("\n"));
    const started = spawn(binary, ["-c", configFile], { stdio: ["ignore", "ignore", "pipe"] });
    child = started;
    started.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
    for (const deadline = Date.now() + 10_000; Date.now() < deadline && started.exitCode === null;) {
      if (await accepts(port)) {
        return true;
      }
      await delay(20);
    }
    await end();
    return false;
  };

  // Another process may take the port between our look and mosquitto's bind.
  let port = 0;
  for (let attempt = 0; attempt < 3 && port === 0; attempt++) {
    const candidate = await freePort();
    port = (await start(candidate)) ? candidate : 0;
  }
  if (port === 0) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`mosquitto did not start: ${log}`);
  }
  return {
    url: secured ? `mqtts://localhost:${port}` : `mqtt://127.0.0.1:${port}`,
    port,
    ...(certificates ? { certificates } : {}),
    log: () => log,
    restart: async () => {
      await end();
      if (!(await start(port))) {
        throw new Error(`mosquitto did not come back: ${log}`);
      }
    },
    close: async () => {
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Writes users and passwords and lets mosquitto_passwd -U hash the file in place, so no password is in an argument list. */
function passwordFile(folder: string, users: Record<string, string>): string {
  const tool = findBinary("mosquitto_passwd");
  if (!tool) {
    throw new Error("mosquitto_passwd is not installed");
  }
  const path = join(folder, "passwords");
  writeFileSync(
    path,
    Object.entries(users)
      .map(([name, password]) => `${name}:${password}\n`)
      .join(""),
    { mode: 0o600 },
  );
  const result = spawnSync(tool, ["-U", path], { encoding: "utf8" });
  if (result.status !== 0) {
    throw new Error(`mosquitto_passwd failed: ${result.stderr}`);
  }
  return path;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  const result = await promise;
  socket.destroy();
  return result;
}
