// One way to the server: JSON in and out, the CSRF header on every change, errors as problem+json.

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

function cookie(name: string): string {
  const found = document.cookie.split("; ").find((part) => part.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

function csrfToken(): string {
  return cookie("__Host-gridwing_csrf") || cookie("gridwing_csrf");
}

async function answer<T>(response: Response): Promise<T> {
  const text = await response.text();
  const body: unknown = text ? JSON.parse(text) : null;
  if (!response.ok) {
    const problem = (body ?? {}) as { title?: string; detail?: string };
    throw new Problem(response.status, problem.title ?? response.statusText, problem.detail ?? "");
  }
  return body as T;
}

export async function get<T>(path: string): Promise<T> {
  return answer<T>(await fetch(path, { headers: { Accept: "application/json" } }));
}

export async function post<T>(path: string, body: unknown = {}): Promise<T> {
  const headers = {
    "Content-Type": "application/json",
    "X-CSRF-Token": csrfToken(),
    "Idempotency-Key": crypto.randomUUID(),
  };
  return answer<T>(await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

export async function upload(image: Blob): Promise<string> {
  const headers = { "Content-Type": image.type || "image/jpeg", "X-CSRF-Token": csrfToken() };
  const response = await fetch("/api/evidence", { method: "POST", headers, body: image });
  return (await answer<{ sha256: string }>(response)).sha256;
}

export function evidenceUrl(sha256: string, purpose: "handling" | "review" | "audit"): string {
  return `/api/evidence/${sha256}?purpose=${purpose}`;
}
