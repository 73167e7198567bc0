// What the page says, in English and Portuguese. The words are those of the documentation.
const en = {
  skip: "Skip to content", leave: "Log out", loginTitle: "Log in", token: "Token", login: "Log in",
  loginHelp: "The token is in the file of --token-file; `engenho up` prints a link that brings it.",
  wrongToken: "This token is not the one.", unreachable: "The producer does not answer.",
  overview: "Overview", executions: "Executions", failures: "Last failures", lag: "Lag by agent and partition", seats: "Seats by pool",
  live: "live", connecting: "connecting…", lost: "connection lost, trying again…",
  noExecutions: "Nothing has run yet. Executions appear here as they end.", noFailures: "No failures.",
  noLag: "No agent has a committed position yet.", noSeats: "No pools: no licence is installed, or nothing has asked for a seat.",
  perMinute: "Executions in the last minute", failed: "Failed in the last minute", maxLag: "Longest lag", inUse: "Seats in use", age: "Newest result",
  end: "End", production: "Production", agent: "Agent", trigger: "Trigger", outcome: "Outcome", elapsed: "Elapsed", attempt: "Attempt",
  result: "Result", seat: "Seat", error: "Error", deadLetter: "dead letter", waived: "waived", onDemand: "on demand",
  topic: "Topic", partition: "Partition", committed: "Committed", endOffset: "End", records: "Lag", seconds: "Lag, seconds", status: "Status",
  pool: "Pool", limit: "Limit", busy: "In use", queued: "Queued", waiting: "Waiting", peak: "Peak", granted: "Granted", waivedCount: "Waived",
  refused: "Refused", ago: "{0} ago", never: "none yet",
  succeeded: "succeeded", failed_: "failed", timed_out: "timed out", crashed: "crashed", out_of_memory: "out of memory", cancelled: "cancelled",
  skipped: "skipped", unknown: "unknown", ok: "OK", warn: "falling behind", stall: "stalled", stop: "stopped", rewind: "rewound",
  event: "event", schedule: "schedule", transition: "transition", demand: "on demand", simulation: "simulation", retry: "retry",
};
const pt = {
  skip: "Ir para o conteúdo", leave: "Sair", loginTitle: "Entrar", token: "Token", login: "Entrar",
  loginHelp: "O token está no arquivo de --token-file; `engenho up` mostra um link que já o traz.",
  wrongToken: "Este não é o token.", unreachable: "O producer não responde.",
  overview: "Visão geral", executions: "Execuções", failures: "Últimas falhas", lag: "Atraso por agente e partição", seats: "Licenças por pool",
  live: "ao vivo", connecting: "conectando…", lost: "conexão perdida, tentando de novo…",
  noExecutions: "Nada foi executado ainda. As execuções aparecem aqui quando terminam.", noFailures: "Nenhuma falha.",
  noLag: "Nenhum agente tem posição confirmada ainda.", noSeats: "Nenhum pool: não há licença instalada, ou nada pediu uma licença.",
  perMinute: "Execuções no último minuto", failed: "Falhas no último minuto", maxLag: "Maior atraso", inUse: "Licenças em uso", age: "Resultado mais novo",
  end: "Fim", production: "Produção", agent: "Agente", trigger: "Disparo", outcome: "Desfecho", elapsed: "Duração", attempt: "Tentativa",
  result: "Resultado", seat: "Licença", error: "Erro", deadLetter: "carta morta", waived: "abonada", onDemand: "sob demanda",
  topic: "Tópico", partition: "Partição", committed: "Confirmado", endOffset: "Fim", records: "Atraso", seconds: "Atraso, segundos", status: "Situação",
  pool: "Pool", limit: "Limite", busy: "Em uso", queued: "Enfileiradas", waiting: "Esperando", peak: "Pico", granted: "Concedidas",
  waivedCount: "Abonadas", refused: "Recusadas", ago: "há {0}", never: "nenhum ainda",
  succeeded: "sucesso", failed_: "falhou", timed_out: "tempo esgotado", crashed: "caiu", out_of_memory: "sem memória", cancelled: "cancelada",
  skipped: "pulada", unknown: "desconhecido", ok: "OK", warn: "ficando para trás", stall: "parado", stop: "sem confirmações", rewind: "voltou",
  event: "evento", schedule: "agenda", transition: "transição", demand: "sob demanda", simulation: "simulação", retry: "nova tentativa",
};

export const language = navigator.language.toLowerCase().startsWith("pt") ? "pt-BR" : "en";
const words = language === "pt-BR" ? pt : en;

export function say(word, ...values) {
  const text = words[word] ?? word;
  return values.reduce((done, value, index) => done.replace(`{${index}}`, value), text);
}

// What an outcome or a status is called: "failed" is also the title of a card.
export function sayState(state) {
  return words[`${state}_`] ?? words[state] ?? state;
}
