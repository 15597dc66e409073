import sys
from rpds import HashTrieMap, HashTrieSet, List

end = int(sys.argv[1])
table, seen, steps = HashTrieMap(), HashTrieSet(), List()
for number in range(end):
    table = table.insert("key%d" % (number % 700), number)
    seen = seen.insert(number * 7 % 1000)
    steps = steps.push_front(number)
    if number % 3 == 0:
        table = table.discard("key%d" % (number % 500))
print(len(table), len(seen), sum(table.values()), sum(1 for _ in steps))
