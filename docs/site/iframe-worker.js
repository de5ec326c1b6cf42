// Search without a server. Browsers start no worker from a page that was opened from disk, so there the
// script of the worker runs in a hidden frame. The plugin `offline` would load such a script from a host.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const page = frame.contentDocument
      page.open()
      page.write("<!doctype html><body></body>")
      page.close()
      this.scope = frame.contentWindow
      this.scope.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = page.createElement("script")
      this.ready = new Promise((resolve) => { script.onload = resolve })
      script.src = url
      page.body.append(script)
    }

    async postMessage(data) {
      await this.ready
      this.scope.dispatchEvent(new this.scope.MessageEvent("message", { data }))
    }
  }
}
