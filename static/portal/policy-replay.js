// Asks how far a replay is, once a second, and shows the whole page again when it is over.
const panel = document.getElementById("replay");

async function look() {
  try {
    const answer = await fetch(panel.dataset.progress);
    if (answer.ok) {
      const told = await answer.json();
      if (!told.open) return location.reload();
      document.getElementById("replay-progress").value = told.percent;
      document.getElementById("replay-told").textContent = `${told.percent} %. The worker judges; this page may be left.`;
      for (const name of ["calls", "block", "ask", "allow"]) {
        document.getElementById(`count-${name}`).textContent = told.counts[name].toLocaleString("en-US");
      }
    } else if (answer.status < 500) return;
  } catch {
    // The network is away; ask again.
  }
  setTimeout(look, 1000);
}

if (panel) setTimeout(look, 1000);
