/** Types of paths.mjs, whose comments say what it does. */
export const ROOT: string;
export function cacheDir(): string;
