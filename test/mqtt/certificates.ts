// Throw-away certificates for the test brokers: one CA, a server certificate for localhost and 127.0.0.1, a client certificate. Elliptic
// curve keys (P-256), since they are made in milliseconds. Nothing is written to disk here.

import "reflect-metadata"; // @peculiar/x509 needs it loaded first (its README).
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from "@peculiar/x509";

/** PEM texts of a certificate and its private key (PKCS #8). */
export interface KeyPair {
  cert: string;
  key: string;
}

export interface Certificates {
  /** PEM of the CA that signed the others. */
  ca: string;
  server: KeyPair;
  client: KeyPair;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 24 * 3600 * 1000;

/**
 * Issues a fresh set, valid from yesterday for `validDays` (default 7; 0 gives certificates that expired just now).
 * @param clientName common name of the client certificate
 */
export async function issueCertificates(clientName = "client", validDays = 7): Promise<Certificates> {
  const crypto: webcrypto.Crypto = webcrypto;
  cryptoProvider.set(crypto);
  const notBefore = new Date(Date.now() - DAY_MS);
  const notAfter = new Date(Date.now() + validDays * DAY_MS);
  const newKeys = async (): Promise<webcrypto.CryptoKeyPair> =>
    crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const caKeys = await newKeys();
  const ca = await X509CertificateGenerator.createSelfSigned({
    name: "CN=Test CA",
    keys: caKeys,
    notBefore,
    notAfter,
    signingAlgorithm: ALGORITHM,
    serialNumber: serial(),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  const issue = async (
    name: string,
    usage: ExtendedKeyUsage,
    names: SubjectAlternativeNameExtension[],
  ): Promise<KeyPair> => {
    const keys = await newKeys();
    const certificate: X509Certificate = await X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: ca.subject,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      notBefore,
      notAfter,
      signingAlgorithm: ALGORITHM,
      serialNumber: serial(),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([usage]),
        ...names,
      ],
    });
    return { cert: certificate.toString("pem"), key: await privateKeyPem(crypto, keys.privateKey) };
  };
  const localhost = new SubjectAlternativeNameExtension([
    { type: "dns", value: "localhost" },
    { type: "ip", value: "127.0.0.1" },
  ]);
  return {
    ca: ca.toString("pem"),
    server: await issue("localhost", ExtendedKeyUsage.serverAuth, [localhost]),
    client: await issue(clientName, ExtendedKeyUsage.clientAuth, []),
  };
}

async function privateKeyPem(crypto: webcrypto.Crypto, key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${der.replace(/(.{64})/g, "$1\n").trimEnd()}\n-----END PRIVATE KEY-----\n`;
}

/** A positive serial of 8 random bytes; two certificates of one CA must not share one. */
function serial(): string {
  const bytes = Buffer.from(webcrypto.getRandomValues(new Uint8Array(8)));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}
