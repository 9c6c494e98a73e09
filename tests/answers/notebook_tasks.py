"""The notebook's cells for the three tasks, and the one that writes the log."""

from __future__ import annotations

CONTENT_HINTS = """\
#@title Hints
softmax = lambda x: np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)
print(softmax(np.array([9, 0, 0])))
keys = np.array([[2, 0], [0, 1]])
print(softmax(np.array([5, 0]) @ keys))
get_K = lambda: np.eye(3) @ Km
get_Q = lambda: np.eye(3) @ Qm
get_V = lambda: np.eye(3) @ Vm
"""

CONTENT_CELL = """\
A = np.array([1, 0, 0])
B = np.array([0, 1, 0])
C = np.array([0, 0, 1])
tokens = [A, B, C]

# <content>

assert Km.shape[0] == 3 and Qm.shape[0] == 3 and Vm.shape == (3, 3), (Km.shape, Qm.shape, Vm.shape)


def generate_test_cases_identity(
    tokens: List[NDArrayFloat], max_len: int = 7
) -> Tuple[NDArrayFloat, NDArrayFloat]:
    seq_len = np.random.randint(1, max_len)
    drawn = np.stack(random.choices(tokens, k=seq_len))
    return drawn, drawn


for i in range(10):
    seq, expected_out = generate_test_cases_identity(tokens)
    np_transformer = NumpyTransformer(Km, Qm, Vm)
    out = np_transformer.forward(seq)
    assert np.allclose(out, expected_out, rtol=RELATIVE_TOLERANCE), f"test {i} fails"

set_random_seed(1997)
seq, _ = generate_test_cases_identity(tokens)
np_transformer = NumpyTransformer(Km, Qm, Vm)
out = np_transformer.forward(seq, verbose=False)
TO_SAVE["attention_by_content"] = out.reshape(-1).tolist()
TO_SAVE["attention_by_content_Q"] = Qm.reshape(-1).tolist()
TO_SAVE["attention_by_content_K"] = Km.reshape(-1).tolist()
TO_SAVE["attention_by_content_V"] = Vm.reshape(-1).tolist()
"""

CONTENT_COMPARE = """\
def make_batch_identity(tokens: List[NDArrayFloat] = tokens, max_len: int = 7):
    seq, target = generate_test_cases_identity(tokens, max_len=max_len)
    return torch.FloatTensor(seq), torch.FloatTensor(target)


set_random_seed(227)
transformer_py, loss = train_loop(
    make_batch_identity, input_dim=len(A), qk_dim=Km.shape[1], v_dim=Vm.shape[1]
)
seq = np.stack([A, B, B, C, C])
compare_transformers(np_transformer, transformer_py, seq)
"""

POSITION_HINTS = """\
#@title Hints
seq = np.array([[1, 2, 3]])
Qm = np.array([[1, 0], [0, 0], [0, 1]])
print(seq @ Qm)
get_K = lambda seq: np.concatenate([seq, pos[:seq.shape[0]]], axis=1) @ Km
"""

POSITION_CELL = """\
A = np.array([1, 0, 0])
B = np.array([0, 1, 0])
C = np.array([0, 0, 1])
tokens = [A, B, C]

# <position>

pos_dim = pos.shape[1]
total_dim = 3 + pos_dim
assert Km.shape[0] == total_dim and Qm.shape[0] == total_dim and Vm.shape == (total_dim, 3), \\
    f"expected {total_dim} rows: {Km.shape}, {Qm.shape}, {Vm.shape}"


def generate_test_cases_first(
    tokens: List[NDArrayFloat], max_len: int = 5
) -> Tuple[NDArrayFloat, NDArrayFloat]:
    seq_len = np.random.randint(1, max_len)
    drawn = np.stack(random.choices(tokens, k=seq_len))
    return drawn, np.stack([drawn[0]] * seq_len)


for i in range(10):
    seq, expected_out = generate_test_cases_first(tokens)
    np_transformer = NumpyTransformer(Km, Qm, Vm, pos=pos)
    out = np_transformer.forward(seq)
    assert np.allclose(out, expected_out, rtol=RELATIVE_TOLERANCE), f"test {i} fails"

set_random_seed(2017)
seq, _ = generate_test_cases_first(tokens)
np_transformer = NumpyTransformer(Km, Qm, Vm, pos=pos)
out = np_transformer.forward(seq)
TO_SAVE["attention_by_position"] = out.reshape(-1).tolist()
TO_SAVE["attention_by_position_pos"] = pos.reshape(-1).tolist()
TO_SAVE["attention_by_position_Q"] = Qm.reshape(-1).tolist()
TO_SAVE["attention_by_position_K"] = Km.reshape(-1).tolist()
TO_SAVE["attention_by_position_V"] = Vm.reshape(-1).tolist()
"""

POSITION_COMPARE = """\
def make_batch_first(tokens: List[NDArrayFloat] = tokens, max_len: int = 5):
    seq, target = generate_test_cases_first(tokens, max_len=max_len)
    return torch.FloatTensor(seq), torch.FloatTensor(target)


pos_dim = pos.shape[1]
transformer_py, loss = train_loop(
    make_batch_first, input_dim=len(A), qk_dim=Km.shape[1], v_dim=Vm.shape[1],
    pos_dim=pos_dim, max_seq_len=pos.shape[0],
)
seq = np.stack([A, B, B])
out_np, out_py = compare_transformers(np_transformer, transformer_py, seq)
print(np.round(out_np, 2), np.round(out_py, 2))
"""

WRITE_LOG = """\
with open("submission_log.json", "w", encoding="utf-8") as f:
    json.dump(TO_SAVE, f)
"""

UNIQUE_TOKENS = """\
A = np.array([1, 0, 0, 0])
B = np.array([0, 1, 0, 0])
C = np.array([0, 0, 1, 0])
CLS = np.array([0, 0, 0, 1])
tokens = [A, B, C]
"""

UNIQUE_CELL = """\
# <unique>

def generate_test_cases_unique(tokens: List[NDArrayFloat], max_len: int = 5):
    seq_len = np.random.randint(1, max_len)
    drawn = np.stack(random.choices(tokens, k=seq_len))
    counts = (drawn @ drawn.T).sum(axis=1)
    return np.stack([CLS] + list(drawn)), np.where(counts == 1, 1, -1).reshape(-1, 1)


for i in range(10):
    seq, expected_out = generate_test_cases_unique([A, B, C])
    np_transformer = NumpyTransformer(Km, Qm, Vm, pos)
    out = np_transformer.forward(seq)
    assert np.allclose(np.sign(out[1:]), expected_out, rtol=RELATIVE_TOLERANCE), f"test {i} fails"
"""

UNIQUE_COMPARE = """\
def make_batch_unique(tokens: List[NDArrayFloat] = tokens, max_len: int = 5):
    seq, target = generate_test_cases_unique(tokens, max_len=max_len)
    return torch.FloatTensor(seq), torch.FloatTensor(target)


pos_dim = pos.shape[1]
transformer_py, loss = train_loop(
    make_batch_unique, input_dim=len(A), qk_dim=Km.shape[1], v_dim=Vm.shape[1],
    pos_dim=pos_dim, max_seq_len=pos.shape[0], remove_cls=True,
)
seq = np.stack([CLS, A, B, C, C])
expected_out = np.stack([1, 1, -1, -1]).reshape(-1, 1)
out_npy, out_pyt = compare_transformers(np_transformer, transformer_py, seq)
plt.figure(figsize=(10, 5))
plt.imshow(np.sign(out_npy[1:]).T, vmin=-1, vmax=1)
plt.show()
"""
