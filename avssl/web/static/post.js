/**
 * Post an object to the server.
 * @param {string} address relative to the page
 * @param {object} values sent as JSON
 * @returns {Promise<{ok: boolean, content: object | string} | null>} null where the server is not reached or fails
 */
export async function post(address, values) {
  try {
    const answer = await fetch(address, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values),
    });
    if (answer.status >= 500) return null;
    const text = await answer.text();
    const json = answer.headers.get("content-type")?.startsWith("application/json");
    return { ok: answer.ok, content: json ? JSON.parse(text) : text };
  } catch {
    return null;
  }
}
