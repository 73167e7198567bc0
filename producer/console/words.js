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
  licences: "Licences", licence: "Licence", pools: "Pools", seatsHeld: "Seats and who has them", processors: "Processors",
  edition: "Edition", customer: "Customer", keysUsed: "Product keys in use", validUntil: "Valid until", contact: "Contact", noDate: "no licence",
  inGrace: "This licence is over. It works in grace until {0}; install a new one before.", endsSoon: "This licence ends in {0} days.",
  licenceAway: "The licensor does not answer: {0}", reused: "Re-used", escalatedCount: "Escalated", notifiedCount: "Notified",
  processor: "Processor", machine: "Machine", user: "User", licenceId: "Licence id", requestedPool: "Requested pool", grantedPool: "Granted pool",
  seatNumber: "Seat", seatState: "State", since: "Since", idle: "Idle", action: "Action", release: "Free", releaseOf: "Free seat {0} of {1}",
  busy_: "in use", queued_: "queued", waiting_: "waiting", waived_: "waived", escalated: "escalated", notified: "notified",
  usage: "Last 24 hours, from closed minutes", noUsage: "Nothing was used, or no minute has been closed yet.", waitedCount: "Waited",
  waitedMean: "{0}, {1} each", holders: "Granted to", others: "others",
  secondsLeft: "{0} s", noSeatsHeld: "No seat is in use, queued or waited for.", noProcessors: "No processor is registered.",
  before: "Before", after: "After", range: "{0} to {1} of {2}", pid: "Process", slot: "Slot", running: "Productions running", lease: "Lease left",
  releaseTitle: "Free this seat?", releaseText: "Seat {0} of pool {1}, held by {2} for production {3}.",
  releaseHelp: "What runs on it goes on; its holder asks for another seat for the next. It is logged who freed it.",
  releaseYes: "Free it", releaseNo: "Leave it", released: "Seat {0} of pool {1} is freed.",
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
  licences: "Licenças", licence: "Licença", pools: "Pools", seatsHeld: "Licenças e quem as tem", processors: "Processors",
  edition: "Edição", customer: "Cliente", keysUsed: "Chaves de produto em uso", validUntil: "Válida até", contact: "Contato", noDate: "sem licença",
  inGrace: "Esta licença terminou. Funciona em carência até {0}; instale uma nova antes.", endsSoon: "Esta licença termina em {0} dias.",
  licenceAway: "O licensor não responde: {0}", reused: "Reusadas", escalatedCount: "Escaladas", notifiedCount: "Notificadas",
  processor: "Processor", machine: "Máquina", user: "Usuário", licenceId: "Id da licença", requestedPool: "Pool pedido", grantedPool: "Pool concedido",
  seatNumber: "Licença", seatState: "Situação", since: "Desde", idle: "Ociosa", action: "Ação", release: "Liberar", releaseOf: "Liberar a licença {0} de {1}",
  busy_: "em uso", queued_: "enfileirada", waiting_: "esperando", waived_: "abonada", escalated: "escalada", notified: "notificada",
  usage: "Últimas 24 horas, dos minutos fechados", noUsage: "Nada foi usado, ou nenhum minuto foi fechado ainda.", waitedCount: "Esperaram",
  waitedMean: "{0}, {1} cada", holders: "Concedidas a", others: "outros",
  secondsLeft: "{0} s", noSeatsHeld: "Nenhuma licença em uso, enfileirada ou esperada.", noProcessors: "Nenhum processor registrado.",
  before: "Anteriores", after: "Próximas", range: "{0} a {1} de {2}", pid: "Processo", slot: "Slot", running: "Produções em execução", lease: "Prazo restante",
  releaseTitle: "Liberar esta licença?", releaseText: "Licença {0} do pool {1}, com {2} para a produção {3}.",
  releaseHelp: "O que está em execução continua; quem a tinha pede outra para a próxima. Fica registrado quem liberou.",
  releaseYes: "Liberar", releaseNo: "Deixar", released: "A licença {0} do pool {1} foi liberada.",
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
