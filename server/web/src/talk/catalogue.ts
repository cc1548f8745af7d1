/** The models, tools and assistants that the service has: asked for when they are first shown. */

import { get, post } from "../api";
import { create } from "../store";

export interface Model {
  name: string;
  configured: boolean;
  tools: boolean;
  free: boolean;
  context: number | null;
  price: number | null;
  circuit: "closed" | "doubtful" | "open" | "half_open";
  retry_after: number | null;
  latency: number | null;
  failing: number;
}

export interface Tool {
  name: string;
  description: string;
  health: string;
  approval: boolean;
}

export interface Assistant {
  assistant_id: string;
  graph_id: string;
  name: string;
  description: string | null;
}

export const catalogue = create<Model[]>([]);
export const tools = create<Tool[]>([]);
export const assistants = create<Assistant[]>([]);

export async function loadModels(): Promise<Model[]> {
  const models = await get<Model[]>("/api/chat/models");
  catalogue.set(models);
  return models;
}

export async function loadTools(): Promise<void> {
  tools.set((await get<{ tools: Tool[] }>("/api/tools")).tools);
}

export async function loadAssistants(): Promise<void> {
  assistants.set(await post<Assistant[]>("/assistants/search", { limit: 100 }));
}
