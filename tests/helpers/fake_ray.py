"""A stand-in for Ray, in this process: actors that answer in any order, and die when they are told to.

What a cluster does when workers are lost depends on when they are lost; here a seed decides, and thousands of
histories take seconds.
"""
import random, types


class RayError(Exception): pass
class ActorDied(RayError): pass


class RayTaskError(RayError):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class Ref:
    "An answer that may come."
    def __init__(self, actor, name, args):
        self.actor, self.name = actor, name
        self.args, self.is_done = args, False
        self.answer = self.error = None

    def run(self): return getattr(self.actor.object, self.name)(*self.args)


class Actor:
    "An object whose methods are asked for, and answer later."
    def __init__(self, ray, made, n_cpus):
        self.ray, self.object = ray, made
        self.n_cpus = n_cpus
        self.is_alive, self.has_room = True, False

    def __getattr__(self, name):
        def remote(*args):
            self.ray.check_begun()
            return Ref(self, name, args)
        return types.SimpleNamespace(remote=remote)


class FakeRay:
    "As much of Ray as `sweeps.cluster` uses."
    exceptions = types.SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    util = types.SimpleNamespace(get_node_ip_address=lambda: "127.0.0.1")

    def __init__(self, seed=0, cpus=(1, 1), deaths=0.0):
        self.random, self.deaths = random.Random(seed), deaths # the chance of a worker's death at each answer
        self.machines, self.actors = list(cpus), []
        self.n_killed, self.fatal_piece = 0, None # a piece that kills whoever does it
        self.cloudpickle = __import__("cloudpickle")
        self.is_begun = True
        self.n_astray = 0 # how often it was asked after its end: Ray itself then looks for its head, for ever

    def put(self, value):
        self.check_begun()
        return self.cloudpickle.loads(self.cloudpickle.dumps(value))
    def nodes(self): return [dict(Alive=True, Resources={"CPU": n}) for n in self.machines]

    def remote(self, kind):
        def options(num_cpus, num_gpus, max_concurrency):
            def make():
                self.actors.append(Actor(self, kind(), num_cpus))
                return self.actors[-1]
            return types.SimpleNamespace(remote=make)
        return types.SimpleNamespace(options=options)

    def free(self): return sum(self.machines) - sum(a.n_cpus for a in self.actors if a.is_alive and a.has_room)

    def check_begun(self): self.n_astray += not self.is_begun

    def kill(self, actor):
        self.check_begun()
        actor.is_alive = False

    def shutdown(self):
        for actor in self.actors: self.kill(actor)
        self.is_begun = False

    def wait(self, refs, timeout=None, num_returns=1):
        "Some of the answers, in any order; a worker that has found no room yet may find it now."
        for actor in self.actors:
            if actor.is_alive and not actor.has_room and self.free() >= actor.n_cpus: actor.has_room = True
        able = [ref for ref in refs if ref.is_done or not ref.actor.is_alive or ref.actor.has_room]
        ready = self.random.sample(able, self.random.randint(min(1, len(able)), len(able)))
        for ref in ready: self._do(ref)
        return ready, [ref for ref in refs if ref not in ready]

    def _do(self, ref):
        if ref.is_done: return
        ref.is_done = True
        if ref.actor.is_alive and ref.name == "do":
            is_fatal = self.fatal_piece is not None and self.fatal_piece.items() <= ref.args[3].items()
            if self.random.random() < self.deaths or is_fatal:
                ref.actor.is_alive = False
                self.n_killed += 1
        if not ref.actor.is_alive:
            ref.error = ActorDied("The actor died unexpectedly before finishing this task.")
            return
        try: ref.answer = self.put(ref.run()) # answers travel, too
        except Exception as error: ref.error = RayTaskError(error)

    def get(self, ref):
        if not isinstance(ref, Ref): return ref
        self._do(ref)
        if ref.error: raise ref.error
        return ref.answer
