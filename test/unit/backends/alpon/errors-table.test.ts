import { describe, expect, test } from "vitest";
import {
  errorIn,
  errorOfText,
  failureOfError,
  isTaken,
  kubeletReason,
  type AlponError,
} from "../../../../src/backends/alpon/errors-table.ts";
import { ERROR_TEXTS } from "../../../../src/simulators/alpon/index.ts";

const KEYS = ["code", "error"];

describe("each of the page's errors", () => {
  test.each(Object.entries(ERROR_TEXTS))(
    "%s is known by its sentence, however it is spaced, and by its code",
    (code, text) => {
      const known = errorOfText(text);
      expect(known === code || (isTaken(known) && code === "ErrorNameExists")).toBe(true);
      expect(errorOfText(`  ${text.toUpperCase()}\n`)).toBe(known);
      expect(errorOfText(code)).toBe(code);
      expect(errorIn({ code }, KEYS, "other words")).toBe(code);
      expect(errorIn({ error: "no such code" }, KEYS, text)).toBe(known);
    },
  );

  const classes: [AlponError, object][] = [
    ["ErrorNoImage", { class: "Invalid", field: "image" }],
    ["ErrorNoName", { class: "Invalid", field: "name" }],
    ["AssetNotFound", { class: "Transient" }],
    ["AssetNotAlponDevice", { class: "Invalid", reason: "WrongDeviceKind" }],
    ["ContainerExists", { class: "Conflict", reason: "NameConflict" }],
    ["ErrorNameExists", { class: "Conflict", reason: "NameConflict" }],
    ["ErrorDeploymentAlreadyExist", { class: "Conflict", reason: "NameConflict" }],
    ["ErrorNodePortIsNotCorrectRange", { class: "Invalid", field: "ports", reason: "PortOutOfRange" }],
    ["ErrorPortInUse", { class: "Conflict", reason: "PortConflict" }],
    ["ErrorBindingRequest", { class: "Transient" }],
    ["ErrorSaveDeploymentToFile", { class: "Transient" }],
    ["ErrorControlLoopAlreadyRunning", { class: "Transient" }],
    ["ImagePullBackOff", { class: "WorkloadFailed", reason: "ErrImagePull" }],
    ["InvalidImageName", { class: "Invalid", field: "image", reason: "InvalidImageName" }],
    ["ErrImageNeverPull", { class: "WorkloadFailed", reason: "ErrImageNeverPull" }],
    ["CrashLoopBackOff", { class: "WorkloadFailed", reason: "CrashLoopBackOff" }],
    ["CreateContainerConfigError", { class: "WorkloadFailed", reason: "CreateContainerConfigError" }],
    ["CreateContainerError", { class: "WorkloadFailed", reason: "CreateContainerError" }],
    ["RunContainerError", { class: "WorkloadFailed", reason: "RunContainerError" }],
    ["DeviceNotReachable", { class: "Unreachable" }],
    ["Unknown", { class: "Transient" }],
  ];
  test("is in this table", () => {
    expect(classes.map(([code]) => code).sort()).toEqual(Object.keys(ERROR_TEXTS).sort());
  });
  test.each(classes)("%s: %o", (code, expected) => {
    expect(failureOfError(code, "")).toMatchObject(expected);
    expect(failureOfError(code, "").message).toContain(code);
  });
});

test("a sentence within a longer one counts; an unknown one is kept as it is", () => {
  expect(errorOfText(`Device alpon-1: ${ERROR_TEXTS.DeviceNotReachable}`)).toBe("DeviceNotReachable");
  expect(errorIn({}, KEYS, "A new sentence.")).toBeUndefined();
  expect(failureOfError(undefined, "A new sentence.")).toEqual({ class: "Transient", message: "A new sentence." });
});

test("only reasons of the kubelet's leave the container on the device", () => {
  expect(kubeletReason("ErrorPortInUse")).toBeUndefined();
  expect(kubeletReason("ImagePullBackOff")).toBe("ErrImagePull");
});
