/**
 * The shapes of Docker's answers, as far as the agent reads them. Types only: no answer is checked against them, so
 * `docker-socket.ts` keeps its run-time checks. `@types/dockerode` describes services and the swarm; it leaves nodes,
 * tasks and `GET /info` untyped, so they are described here.
 * https://docs.docker.com/reference/api/engine/version/v1.44/
 */
import type * as dockerode from 'dockerode';

/** `GET /info` */
export interface SystemInfo {
  ServerVersion: string;
  Swarm?: SwarmInfo;
}

export interface SwarmInfo {
  LocalNodeState?: string;
  NodeID?: string;
  ControlAvailable?: boolean;
  /** Managers only, and only while they see a leader. */
  Cluster?: { ID?: string } | null;
}

/** `GET /swarm` */
export type Swarm = dockerode.Swarm & Versioned;

/** `GET /nodes` */
export interface Node extends Versioned {
  ID: string;
  Spec: {
    Role: 'worker' | 'manager';
    Availability: 'active' | 'pause' | 'drain';
    Labels?: Record<string, string> | null;
  };
  Description?: { Hostname?: string; Engine?: { Labels?: Record<string, string> | null } };
  Status: { State: 'unknown' | 'down' | 'ready' | 'disconnected'; Addr?: string };
  /** Members of raft only. */
  ManagerStatus?: {
    Leader?: boolean;
    Reachability: 'unknown' | 'unreachable' | 'reachable';
    Addr: string;
  } | null;
}

/** `GET /tasks` */
export interface Task {
  /** Absent until the task is assigned to a node. */
  NodeID?: string;
  Status: { State: string };
}

/** `GET /services` */
export type Service = dockerode.Service & Required<Pick<dockerode.Service, 'Spec'>>;
export type PortConfig = dockerode.PortConfig;

interface Versioned {
  Version: { Index: number };
}
