/** The page of a study: consent, trials in order, the end. Each trial is an address of its own, so that "back" works. */

import { post } from "../post.js";
import { Trial } from "./trial.js";

const RETRY = 1000; // ms
const NAMES = { real: "Real", fake: "Fake", A: "Sound A", B: "Sound B" };
const get = (id) => document.getElementById(id);

function say(text) {
  get("message").textContent = text;
  get("message").hidden = !text;
}

async function json(address) {
  let answer;
  try {
    answer = await fetch(address);
  } catch {
    throw new Error("The server of this study is not reached. Nothing is lost: load this page again later.");
  }
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function go(code, trial) {
  const query = new URLSearchParams(trial === undefined ? { code } : { code, trial: trial + 1 });
  location.search = `?${query}`;
}

function welcome(study) {
  get("welcome").hidden = false;
  get("consent").textContent = study.consent;
  get("start").addEventListener("click", async () => {
    get("start").disabled = true;
    const answer = await post("participants", { consent: true });
    get("start").disabled = false;
    if (answer?.ok) go(answer.content.code);
    else say(answer ? String(answer.content) : "The server of this study is not reached; try again later.");
  });
  get("resume").addEventListener("submit", (event) => {
    event.preventDefault();
    go(get("given-code").value.trim());
  });
}

/** Send an answer until the server has it; what it does not take is said, and nothing is lost. */
async function send(participant, number, values) {
  for (;;) {
    const answer = await post(`participants/${participant.code}/${number}/answer`, values);
    if (answer?.ok) return go(participant.code, Math.min(number + 1, answer.content.trials));
    if (answer) {
      say(answer.content.refused ?? String(answer.content));
      get("forward").hidden = false;
      return null;
    }
    say("The server of this study is not reached; your answer is kept in this page until it is back.");
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

function offerAnswers(study, participant, number, trial) {
  const before = participant.answers[number];
  get("answers").replaceChildren(...study.choices.map((choice) => {
    const button = document.createElement("button");
    button.textContent = NAMES[choice];
    button.dataset.answer = choice;
    button.setAttribute("aria-pressed", choice === before);
    button.addEventListener("click", () => {
      for (const each of get("answers").children) each.disabled = true;
      send(participant, number, { answer: choice, seconds: trial.seconds, headset: trial.headset })
        .then(() => showReady(study, participant, number, trial));
    });
    return button;
  }));
  showReady(study, participant, number, trial);
}

function showReady(study, participant, number, trial) {
  const before = participant.answers[number];
  const closed = before !== undefined && !study.goBack;
  for (const button of get("answers").children) button.disabled = closed || !trial.ready;
  const both = trial.film.tracks.length > 1 ? "both sounds" : "the film";
  get("hint").textContent = closed ? "This question is answered, and this study has no way back; the answer stays."
    : !trial.ready ? `Play ${both} for some seconds, then answer.`
      : before !== undefined ? "You may change your answer." : "";
}

async function showTrial(study, participant, number) {
  get("trial").hidden = false;
  get("question").textContent = study.text;
  get("progress").textContent = `Question ${number + 1} of ${participant.trials}`;
  const trial = await Trial.open(participant.code, number, {
    changed: () => showReady(study, participant, number, trial), fault: say,
  });
  offerAnswers(study, participant, number, trial);
  get("back").disabled = number === 0;
  get("back").addEventListener("click", () => go(participant.code, number - 1));
  get("forward").hidden = participant.answers[number] === undefined;
  get("forward").addEventListener("click", () => go(participant.code, Math.min(number + 1, participant.next)));
  document.addEventListener("keydown", (event) => onKey(event, trial));
}

function onKey(event, trial) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input")) return;
  if (event.key === " " && !event.target.matches("button")) {
    event.preventDefault();
    trial.play();
  }
  if (event.key === "1" || event.key === "2") trial.choose(Number(event.key) - 1);
}

async function main() {
  const study = await json("study.json");
  get("title").textContent = document.title = study.title;
  const query = new URLSearchParams(location.search);
  const code = query.get("code");
  if (!code) return welcome(study);
  const participant = await json(`participants/${encodeURIComponent(code)}.json`);
  get("code").textContent = `Your code: ${participant.code}. Keep it to go on later.`;
  const wanted = query.has("trial") ? Number(query.get("trial")) - 1 : participant.next;
  if (wanted === participant.trials && participant.next === participant.trials) {
    get("end").hidden = false;
    return null;
  }
  if (!(wanted >= 0 && wanted <= participant.next && wanted < participant.trials)) return go(participant.code, participant.next);
  history.replaceState(null, "", `?${new URLSearchParams({ code: participant.code, trial: wanted + 1 })}`);
  return showTrial(study, participant, wanted);
}

window.addEventListener("pageshow", (event) => event.persisted && location.reload());
main().catch((error) => say(error.message));
