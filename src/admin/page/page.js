// Makes the page live: times in the reader's zone, and what changed in place of what was there.
// Without it the page shows the same as of when it was opened.
"use strict";
(function () {
  var main = document.getElementById("main");
  var live = document.getElementById("live");
  var pause = document.getElementById("pause");
  var source = null;
  var heard = Date.now();

  function pad(n) { return (n < 10 ? "0" : "") + n; }

  function times(root) {
    root.querySelectorAll("time[datetime]").forEach(function (t) {
      var d = new Date(t.getAttribute("datetime"));
      if (isNaN(d)) { return; }
      var clock = pad(d.getHours()) + ":" + pad(d.getMinutes()) + ":" + pad(d.getSeconds());
      var day = d.getFullYear() + "-" + pad(d.getMonth() + 1) + "-" + pad(d.getDate());
      t.textContent = d.toDateString() === new Date().toDateString() ? clock : day + " " + clock;
      t.title = t.getAttribute("datetime");
    });
  }

  function say(words) { if (live.textContent !== words) { live.textContent = words; } }

  // Whoever marks text or has something open keeps it.
  function replace(html) {
    var marked = window.getSelection();
    if (marked && !marked.isCollapsed && main.contains(marked.anchorNode)) { return; }
    var open = [];
    main.querySelectorAll("details[open]").forEach(function (d) { open.push(d.id); });
    var focus = document.activeElement && main.contains(document.activeElement)
      ? document.activeElement.id || document.activeElement.getAttribute("data-key") : null;
    main.innerHTML = html;
    open.forEach(function (id) {
      var d = id && document.getElementById(id);
      if (d) { d.open = true; }
    });
    var again = focus && (document.getElementById(focus) ||
      main.querySelector("[data-key=" + JSON.stringify(focus) + "]"));
    if (again) { again.focus({ preventScroll: true }); }
    times(main);
  }

  function begin() {
    source = new EventSource(main.getAttribute("data-events"));
    source.onmessage = function (e) { heard = Date.now(); say("live"); replace(e.data); };
    source.addEventListener("same", function () { heard = Date.now(); say("live"); });
    source.onerror = function () {
      if (source && source.readyState === EventSource.CLOSED) {
        say("not live: reload the page");
      }
    };
  }

  function end() { if (source) { source.close(); source = null; } }

  times(document);
  if (!window.EventSource || !main.getAttribute("data-events")) { return; }
  pause.hidden = false;
  pause.addEventListener("click", function () {
    if (source) { end(); say("paused"); pause.textContent = "Go on"; }
    else { heard = Date.now(); begin(); pause.textContent = "Pause"; }
  });
  setInterval(function () {
    if (source && Date.now() - heard > 20000) {
      say("no answer for " + Math.round((Date.now() - heard) / 1000) + " s");
    }
  }, 1000);
  begin();
})();
