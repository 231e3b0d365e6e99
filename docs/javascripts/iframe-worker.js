// The search of the site, opened from disk: browsers start no worker there, so a hidden frame takes its place.
"use strict";

if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      const started = new Promise((resolve) => {
        frame.addEventListener("load", () => {
          const script = frame.contentDocument.createElement("script");
          frame.contentWindow.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          script.addEventListener("load", resolve);
          script.src = new URL(url, location);
          frame.contentDocument.body.append(script);
        }, { once: true });
      });
      this.postMessage = (data) => started.then(() => frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
      document.body.append(frame);
    }
  };
}
