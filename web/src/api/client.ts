import { ApiError, errorFromResponse } from "./errors";

export interface Options {
  /** Parameters of the URL. Values that may be personal belong into a body: URLs are logged. */
  query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** Sends requests to the HTTP API of the listener that serves the console, with one management token. */
export class Client {
  /** `onError` sees every error, before the caller does. */
  constructor(
    private readonly token: string,
    private readonly onError: (error: ApiError) => void = () => {},
  ) {}

  /** The JSON of a successful response. `path` is relative to the listener, such as `v1/users`. Throws ApiError. */
  async send<T>(method: "GET" | "POST" | "DELETE", path: string, options: Options = {}): Promise<T> {
    try {
      return await this.exchange<T>(method, path, options);
    } catch (error) {
      if (error instanceof ApiError) this.onError(error);
      throw error;
    }
  }

  private async exchange<T>(method: string, path: string, { query, body, signal }: Options): Promise<T> {
    const url = new URL(path, document.baseURI);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const init: RequestInit = {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    };
    if (body !== undefined) init.body = JSON.stringify(body);
    if (signal) init.signal = signal;
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, init);
      text = await response.text();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, "UNREACHABLE", "Userfold does not answer.", "");
    }
    const requestId = response.headers.get("x-request-id") ?? "";
    const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
    const parsed: unknown = isJson && text ? JSON.parse(text) : null;
    if (!response.ok) throw errorFromResponse(response.status, requestId, parsed);
    return parsed as T;
  }
}
