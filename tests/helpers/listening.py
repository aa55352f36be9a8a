"What a loop says and does, as it comes."


def messages_of(loop):
    "The messages of a loop."
    messages = []
    def listen(event):
        if event.kind == "message": messages.append(event.data["text"])
    loop.on(listen)
    return messages


def trained_on(loop):
    "(model, table) of each training of a loop."
    seen = []
    learn = loop._learn
    def watched(draft, number, model, table, *rest):
        seen.append((model, table))
        return learn(draft, number, model, table, *rest)
    loop._learn = watched
    return seen
