// A simulated Kanto device: the machine (runtime, disk, ports, network), the daemon process that comes and goes on it, the local tool in a
// human's hand, the faults, and the books that tests read: every container that was ever created, every process start, every command.

import { sleep, systemClock, type Clock } from "../clock.ts";
import { createRandom, type Random } from "../random.ts";
import { Books, type ContainerTruth, type Creator, type ReceivedCommand } from "./books.ts";
import { Daemon, type Identity } from "./daemon.ts";
import { Faults } from "./device-faults.ts";
import { ProcessEnded } from "./errors.ts";
import { RuleList, type CommandRule, type EventRule } from "./faults.ts";
import { Human } from "./human.ts";
import type { ImageTable } from "./images.ts";
import type { Credentials, TlsOptions } from "./mqtt-socket.ts";
import { Ports } from "./ports.ts";
import { Runtime } from "./runtime.ts";
import { twinConfig, twinState } from "./twin.ts";
import type { Container } from "./types.ts";

export interface KantoDeviceOptions {
  /** `mqtt://` or `mqtts://` URL of the broker. */
  brokerUrl: string;
  credentials?: Credentials;
  tls?: TlsOptions;
  /** Gateway id `<namespace>:<name>`, e.g. `edge:device`; the containers thing is this plus `:edge:containers`. */
  deviceId: string;
  /** Default `t1`. */
  tenantId?: string;
  /** Default `edge:policy`. */
  policyId?: string;
  /** What images do, over what their names suggest. */
  images?: ImageTable;
  /** Time of the device: run times, grace periods, back-offs, pulls. Default the machine's clock. */
  clock?: Clock;
  /** Time of its MQTT client: keepalive, acknowledgements, reconnection. Default the machine's clock, whatever `clock` is, since brokers live in real time. */
  networkClock?: Clock;
  /**
   * True: a connector on the device answers its identity requests, and it hears no announcement for another device, so several devices
   * can share a broker. Default false, as the daemon is: somebody on the broker must answer (startConnector, or the client under test).
   */
  answerIdentity?: boolean;
  /** Same seed, same ids, pids and orders. Default the device id. */
  seed?: string;
  /** Duration of a pull, ms, unless the image says otherwise. Default 0. */
  pullMs?: number;
  /** Time to start a process, ms. Default 50. */
  startMs?: number;
  /** Grace of a plain stop and a forced removal, whole seconds. Default 30, as the daemon's. */
  defaultStopTimeoutS?: number;
  /** How long after its death the daemon is started again, ms. Default 1000. */
  restartDelayMs?: number;
  /** First delay of a reconnection to the broker, ms, doubling to ten times this. Default 1000. */
  reconnectMs?: number;
  /** Keepalive of its connection, seconds. Default 20, as the daemon's. */
  keepaliveS?: number;
  /** See ManagerOptions; default 0. */
  lateRestartCancelMs?: number;
  /** Paths (mount sources, devices) that are not on the device; default those with a segment `nope`, `missing…` or `does`. */
  missingPath?: (path: string) => boolean;
  /** False: the daemon's configuration leaves the Metrics feature out. Default true, as the daemon's. */
  metrics?: boolean;
  /** Put before every topic, as a bridge from the device's own broker to a central one does, e.g. `site-7/`. Default none. */
  topicPrefix?: string;
  /** The machine's own host name, which containers in host network mode take over. Default `kanto-device`. */
  hostName?: string;
  /** Receives one line for each thing worth knowing. */
  log?: (message: string) => void;
}

/** Starts the device: its daemon restores (nothing, at first) and connects, and keeps trying to. */
export async function startKantoDevice(options: KantoDeviceOptions): Promise<KantoDevice> {
  const device = new KantoDevice(options);
  await device.boot();
  return device;
}

export class KantoDevice {
  readonly deviceId: string;
  readonly faults: Faults;
  readonly human: Human;
  readonly clock: Clock;
  readonly runtime: Runtime;
  readonly ports = new Ports();
  readonly commandRules = new RuleList<CommandRule>();
  readonly eventRules = new RuleList<EventRule>();
  readonly #options: KantoDeviceOptions;
  readonly #random: Random;
  readonly #disk = new Map<string, Container>();
  readonly #published = new Set<string>();
  readonly #books: Books;
  readonly #off = new AbortController();
  #identity: Identity;
  #daemon: Daemon | undefined;
  #network: "up" | "down" | "silent" = "up";
  #daemonStarts = 0;
  #connections = 0;
  #panics: string[] = [];
  #identityWithheld = false;

  constructor(options: KantoDeviceOptions) {
    this.#options = options;
    this.deviceId = options.deviceId;
    this.clock = options.clock ?? systemClock;
    this.#random = createRandom(options.seed ?? options.deviceId);
    this.#identity = {
      deviceId: options.deviceId,
      tenantId: options.tenantId ?? "t1",
      policyId: options.policyId ?? "edge:policy",
    };
    const missing =
      options.missingPath ??
      ((path: string) =>
        path.split("/").some((part) => part === "nope" || part === "does" || part.startsWith("missing")));
    this.runtime = new Runtime({
      clock: this.clock,
      random: this.#random,
      images: options.images ?? {},
      pullMs: options.pullMs ?? 0,
      startMs: options.startMs ?? 50,
      pathExists: (path) => !missing(path),
    });
    this.#books = new Books(this.clock, this.commandRules, (message) => this.log(message));
    this.faults = new Faults(this);
    this.human = new Human(this);
  }

  /** Connected to the broker with a known identity. */
  get online(): boolean {
    return this.#daemon?.client.connected === true && this.#daemon.identity !== undefined;
  }

  /** Subscribed to its command topic: a command sent before this is lost. Comes last after each connection, behind the features. */
  get commandsHeard(): boolean {
    return this.#daemon?.commandsHeard ?? false;
  }

  /** How often a daemon process was started. */
  get daemonStarts(): number {
    return this.#daemonStarts;
  }

  /** How often it connected to the broker. */
  get connections(): number {
    return this.#connections;
  }

  /** Why daemon processes died by themselves, oldest first. */
  get panics(): readonly string[] {
    return this.#panics;
  }

  /** The containers that are there now. */
  containers(): ContainerTruth[] {
    return this.everCreated().filter(({ exists }) => exists);
  }

  /** All containers ever created on this device, oldest first. */
  everCreated(): ContainerTruth[] {
    return this.#books.created().map(({ container, by }) => ({
      id: container.id,
      name: container.name,
      imageRef: container.imageRef,
      config: twinConfig(container.config),
      state: twinState(container.state),
      createdAt: container.createdAt,
      createdBy: by,
      exists: this.#disk.has(container.id),
      processStarts: this.runtime.starts(container.id),
      hostPorts: this.ports.heldBy(container.id),
      restartPending: this.#daemon?.manager.restartPending(container.id) ?? false,
    }));
  }

  /** The one container of that id, else the newest one of that name. @throws Error when there is none */
  container(nameOrId: string): ContainerTruth {
    const found = this.containers().findLast(({ id, name }) => id === nameOrId || name === nameOrId);
    if (!found) {
      throw new Error(`no container ${nameOrId} on ${this.deviceId}`);
    }
    return found;
  }

  /** Every message on the command topic that reached the daemon, oldest first. */
  commands(): readonly ReceivedCommand[] {
    return this.#books.commands;
  }

  /** The connector on the device, if it has one, announces the device again; a new policy makes the daemon publish everything anew. */
  announce(policyId = this.#identity.policyId): void {
    this.#identity = { ...this.#identity, policyId };
    if (this.#options.answerIdentity) {
      this.#daemon?.announce(this.#identity);
    }
  }

  /** Whether the device's own connector leaves requests unanswered, as with its cloud link down. */
  withholdIdentity(withheld: boolean): void {
    this.#identityWithheld = withheld;
  }

  /** Ends the device for good: no farewell, all timers gone. */
  async stop(): Promise<void> {
    this.#off.abort();
    this.#daemon?.kill();
    this.#daemon = undefined;
    this.runtime.powerOff();
    this.ports.clearContainers();
  }

  /** The running daemon. @throws Error while there is none */
  get daemon(): Daemon {
    if (!this.#daemon) {
      throw new Error(`the daemon of ${this.deviceId} is not running`);
    }
    return this.#daemon;
  }

  get daemonRunning(): boolean {
    return this.#daemon !== undefined;
  }

  /** Starts a daemon process, unless one runs. Resolves when it has restored its containers and begins to connect. */
  async boot(): Promise<void> {
    if (this.#daemon || this.#off.signal.aborted) {
      return;
    }
    const {
      brokerUrl,
      credentials,
      tls,
      answerIdentity,
      networkClock,
      reconnectMs = 1000,
      keepaliveS,
      defaultStopTimeoutS,
      lateRestartCancelMs,
      metrics,
      topicPrefix,
      log,
    } = this.#options;
    const daemon: Daemon = new Daemon({
      clock: this.clock,
      random: this.#random,
      runtime: this.runtime,
      ports: this.ports,
      disk: this.#disk,
      hostName: this.#options.hostName ?? "kanto-device",
      published: this.#published,
      metricsEnabled: metrics ?? true,
      defaultStopTimeoutS: defaultStopTimeoutS ?? 30,
      lateRestartCancelMs: lateRestartCancelMs ?? 0,
      eventRules: this.eventRules,
      commands: this.#books.observer(),
      ownIdentity: answerIdentity
        ? { deviceId: this.deviceId, answer: () => (this.#identityWithheld ? undefined : this.#identity) }
        : undefined,
      onCreated: (container, by: Creator) => this.#books.noteCreated(container, by),
      onConnected: () => void this.#connections++,
      onPanic: (error) => {
        this.#panics.push(error.message);
        this.#died(`panic: ${error.message}`);
      },
      onFault: (kind) => (kind === "crash" ? this.crash() : this.powerCut()),
      mqtt: {
        url: brokerUrl,
        clock: networkClock ?? systemClock,
        reconnectMs,
        maxReconnectMs: reconnectMs * 10,
        ...(credentials ? { credentials } : {}),
        ...(tls ? { tls } : {}),
        ...(keepaliveS === undefined ? {} : { keepaliveS }),
        ...(topicPrefix === undefined ? {} : { topicPrefix }),
        log: (message) => this.log(message),
      },
    });
    this.#daemon = daemon;
    this.#daemonStarts++;
    daemon.client.setNetwork(this.#network);
    log?.(`${this.deviceId}: daemon started`);
    try {
      await daemon.start();
    } catch (error) {
      // Killed while it restored its containers; whoever killed it has seen to the next one.
      if (!(error instanceof ProcessEnded)) throw error;
    }
  }

  /** The process is killed (kill -9); it is started again after the delay unless told otherwise. Containers live on. */
  crash(restart = true): void {
    this.#daemon?.kill();
    this.#died("daemon killed", restart);
  }

  /** The daemon is told to end: it stops every container first. It stays down until `boot`. */
  async shutDown(): Promise<void> {
    const daemon = this.#daemon;
    await daemon?.stop();
    if (this.#daemon === daemon) {
      this.#daemon = undefined;
      this.#books.loseUnfinished();
      this.log("daemon stopped");
    }
  }

  /** Power cut: daemon and processes are gone at once; images and containers on disk remain. Back after `downMs`. */
  powerCut(downMs = this.#options.restartDelayMs ?? 1000): void {
    this.#daemon?.kill();
    this.runtime.powerOff();
    this.ports.clearContainers();
    this.#died("power cut", true, downMs);
  }

  setNetwork(network: "up" | "down" | "silent"): void {
    this.#network = network;
    this.#daemon?.client.setNetwork(network);
    this.log(`network ${network}`);
  }

  log(message: string): void {
    this.#options.log?.(`${this.deviceId}: ${message}`);
  }

  #died(why: string, restart = true, delayMs = this.#options.restartDelayMs ?? 1000): void {
    this.#daemon = undefined;
    this.#books.loseUnfinished();
    this.log(why);
    if (restart && !this.#off.signal.aborted) {
      void sleep(this.clock, delayMs, this.#off.signal).then(async (over) => (over ? this.boot() : undefined));
    }
  }
}
