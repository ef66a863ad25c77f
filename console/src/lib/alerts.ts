// What alerts are about, and how bad each is.
/** Name, title, and what raises it. */
export const KINDS: readonly (readonly [string, string, string])[] = [
  ['guardrail', 'Guardrail', 'an automation was stepped back'], ['kpi', 'KPI', 'an automation costs revenue'], ['budget', 'Budget', 'a cap of decisions is used up'], ['slo', 'Objective (SLO)', 'it is missed too fast'],
  ['data_quality', 'Data quality', 'what senders tell is not what it was'], ['drift', 'Drift', 'features or predictions are not what they were'], ['fairness', 'Fairness', 'groups are treated otherwise than before'], ['test', 'Test', 'somebody asked for one'],
];
export const kindTitle = (kind: string): string => KINDS.find(([name]) => name === kind)?.[1] ?? kind;
export const SEVERITIES = { critical: 'bad', warning: 'warn', notice: 'plain' } as const;
export const severityTone = (severity: string) => SEVERITIES[severity as keyof typeof SEVERITIES] ?? 'plain';
