// Sends a capture to the API and follows its job; the page draws what this tells it.
(() => {
  "use strict";
  const api = "/api/v1";
  let job = null;
  const tell = (state) => emitEvent("capture_job", state);
  const refused = (status, body) => ({ state: "failed", error: { message: body?.message || `The server answered ${status}` } });

  const ask = async (path, options) => {
    const answer = await fetch(api + path, { credentials: "same-origin", ...options });
    const body = await answer.json().catch(() => null);
    return answer.ok ? body : refused(answer.status, body);
  };

  // What the page shows of a result: a browser's message to the page has its bound.
  const brief = ({ capture, name, summary, calls }) => ({ capture, name, summary, calls: calls.slice(0, 300) });

  const follow = async (id) => {
    job = id;
    for (;;) {
      const state = await ask(`/jobs/${encodeURIComponent(id)}`, {}).catch(() => refused("not"));
      if (job !== id) return;
      tell(state.result ? { ...state, result: brief(state.result) } : state);
      if (!["queued", "running"].includes(state.state)) return;
      await new Promise((done) => setTimeout(done, 500));
    }
  };

  const upload = async (file) => {
    tell({ state: "queued", phase: `sending ${file.name}`, share: null });
    const query = new URLSearchParams({ name: file.name.slice(0, 200) });
    const state = await ask(`/captures?${query}`, {
      method: "POST", body: file, headers: { "Content-Type": "application/vnd.tcpdump.pcap" },
    }).catch(() => refused("not"));
    if (state.id) await follow(state.id);
    else tell(state);
  };

  document.addEventListener("change", (event) => {
    const file = event.target.id === "capture-file" ? event.target.files[0] : null;
    if (file) upload(file);
  });
  window.rfCaptures = { follow, cancel: () => job && ask(`/jobs/${encodeURIComponent(job)}`, { method: "DELETE" }) };
})();
