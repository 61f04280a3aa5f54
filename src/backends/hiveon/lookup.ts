/** Looking at one deployment: what the vendor answers, checked against whom it was asked for. */
import type { HttpAnswer, HttpRequest, HttpResult } from "../http/client.ts";
import { failureOf, isPage } from "../http/failures.ts";
import type { BackendFailure } from "../errors.ts";
import { externalStatusPath, readStatus, statusPath, type DeploymentStatus } from "./wire.ts";

/** What a look came to. Only Absent is a word of the vendor that there is no such deployment (for now). */
export type Look =
  | { seen: "Found"; status: DeploymentStatus }
  | { seen: "Absent" }
  | { seen: "Unclear"; failure: BackendFailure; malformed: boolean };

export type Send = (request: HttpRequest) => Promise<HttpResult>;

export interface LookOptions {
  externalIdPath: string | undefined;
  urgent: boolean;
  signal: AbortSignal;
}

/** By our own id. An answer about another deployment is as good as none. */
export async function lookByExternalId(send: Send, id: string, options: LookOptions): Promise<Look> {
  const result = await send(read(externalStatusPath(id, options.externalIdPath), options));
  return judge(result, (status) => status.externalId === id || status.externalId === undefined);
}

export async function lookByDeploymentId(send: Send, id: string, options: LookOptions): Promise<Look> {
  return judge(await send(read(statusPath(id), options)), (status) => status.deploymentId === id);
}

function read(path: string, { urgent, signal }: LookOptions): HttpRequest {
  return { method: "GET", path, write: false, urgency: urgent ? "Urgent" : "Routine", signal };
}

function judge(result: HttpResult, isMeant: (status: DeploymentStatus) => boolean): Look {
  if (result.kind !== "Answer") return unclear({ class: "Transient", message: result.message });
  if (result.status === 404 && !isPage(result)) return { seen: "Absent" };
  if (!isSuccess(result)) return unclear(failureOf(result));
  const status = readStatus(result.json);
  if (status === undefined)
    return unclear({ class: "Transient", message: "the vendor's answer is no deployment" }, true);
  if (!isMeant(status))
    return unclear({ class: "Transient", message: "the vendor's answer is about another deployment" }, true);
  return { seen: "Found", status };
}

function isSuccess({ status }: HttpAnswer): boolean {
  return status >= 200 && status < 300;
}

function unclear(failure: BackendFailure, malformed = false): Look {
  return { seen: "Unclear", failure, malformed };
}
