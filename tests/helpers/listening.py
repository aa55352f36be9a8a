"What a loop says and does, as it comes."


def messages_of(loop):
    "The messages of a loop."
    messages = []
    def listen(event):
        if event.kind == "message": messages.append(event.data["text"])
    loop.on(listen)
    return messages


def trained_on(monkeypatch):
    "(model, table) of each training with `FineTune` from now on."
    from selfloop_nb import FineTune
    seen, train = [], FineTune.train
    def watched(self, lm, data, *rest):
        seen.append((lm, data.mix()))
        return train(self, lm, data, *rest)
    monkeypatch.setattr(FineTune, "train", watched)
    return seen
