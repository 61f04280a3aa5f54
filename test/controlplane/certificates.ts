// The certificate authority of one control plane run: every run makes its own, so a client or a component of another run on the same
// machine can never talk to this one by accident, whatever port it meets. Elliptic curve keys (P-256): they are made in milliseconds.

import "reflect-metadata"; // @peculiar/x509 needs it loaded first (its README).
import { generateKeyPairSync, randomBytes, webcrypto } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** PEM texts of a certificate and its private key (PKCS #8). */
export interface KeyPair {
  cert: string;
  key: string;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 24 * 3600 * 1000;
const VALID_DAYS = 30;
const HOSTS = [
  { type: "dns", value: "localhost" },
  { type: "dns", value: "kubernetes.default.svc" },
  { type: "ip", value: "127.0.0.1" },
] as const;

/** Signs server and client certificates of one run. */
export class CertificateAuthority {
  /** Names of the files of save(). */
  static readonly certificateFile = "ca.crt";
  static readonly keyFile = "ca.key";

  /** PEM of the authority's own certificate: what clients trust. */
  readonly pem: string;
  readonly #certificate: X509Certificate;
  readonly #privateKey: webcrypto.CryptoKey;
  readonly #privateKeyPem: string;

  private constructor(certificate: X509Certificate, privateKey: webcrypto.CryptoKey, privateKeyPem: string) {
    this.#certificate = certificate;
    this.#privateKey = privateKey;
    this.#privateKeyPem = privateKeyPem;
    this.pem = certificate.toString("pem");
  }

  static async create(): Promise<CertificateAuthority> {
    const crypto: webcrypto.Crypto = webcrypto;
    cryptoProvider.set(crypto);
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: [{ CN: ["Drayage test control plane"] }],
      keys,
      ...validity(),
      signingAlgorithm: ALGORITHM,
      serialNumber: serial(),
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    return new CertificateAuthority(certificate, keys.privateKey, await toPem(keys.privateKey));
  }

  /** The authority that save() put into a folder; another process of the same run makes users with it. */
  static async load(folder: string): Promise<CertificateAuthority> {
    cryptoProvider.set(webcrypto);
    const certificate = new X509Certificate(readFileSync(join(folder, CertificateAuthority.certificateFile), "utf8"));
    const pem = readFileSync(join(folder, CertificateAuthority.keyFile), "utf8");
    const [key] = PemConverter.decode(pem);
    if (!key) {
      throw new Error(`no key in ${join(folder, CertificateAuthority.keyFile)}`);
    }
    const privateKey = await webcrypto.subtle.importKey("pkcs8", key, ALGORITHM, true, ["sign"]);
    return new CertificateAuthority(certificate, privateKey, pem);
  }

  /** Writes certificate and key, the key for the owner's eyes only; both die with the run's folder. */
  save(folder: string): void {
    writeFileSync(join(folder, CertificateAuthority.certificateFile), this.pem);
    writeFileSync(join(folder, CertificateAuthority.keyFile), this.#privateKeyPem, { mode: 0o600 });
  }

  /** A certificate for a server on localhost, 127.0.0.1 and kubernetes.default.svc; also good as a client certificate. */
  async issueServer(name: string): Promise<KeyPair> {
    return this.#issue(
      [{ CN: [name] }],
      [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth],
      [new SubjectAlternativeNameExtension([...HOSTS])],
    );
  }

  /**
   * A client certificate. kube-apiserver reads the user name from CN and the groups from each O
   * (Kubernetes documentation, Authenticating, "X509 client certificates").
   */
  async issueClient(user: string, groups: readonly string[] = []): Promise<KeyPair> {
    return this.#issue([{ CN: [user] }, ...groups.map((group) => ({ O: [group] }))], [ExtendedKeyUsage.clientAuth], []);
  }

  async #issue(
    subject: JsonName,
    usages: ExtendedKeyUsage[],
    names: SubjectAlternativeNameExtension[],
  ): Promise<KeyPair> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const certificate = await X509CertificateGenerator.create({
      subject,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#privateKey,
      ...validity(),
      signingAlgorithm: ALGORITHM,
      serialNumber: serial(),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension(usages),
        ...names,
      ],
    });
    return { cert: certificate.toString("pem"), key: await toPem(keys.privateKey) };
  }
}

/** The key pair with which the API server signs and verifies service account tokens (ES256). */
export function serviceAccountKeys(): { privateKey: string; publicKey: string } {
  return generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
}

async function toPem(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

function validity(): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - DAY_MS), notAfter: new Date(now + VALID_DAYS * DAY_MS) };
}

/** Random, positive and without a leading zero byte, as RFC 5280 section 4.1.2.2 wants serial numbers. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}
