/* Reads a file and hands each line to a library in Rust. */
#include <stdio.h>
#include <string.h>
void words_add(const char *line, size_t length);
unsigned long long words_most(void);
int main(int argc, char **argv) {
    static char line[1 << 16];
    FILE *file = argc > 1 ? fopen(argv[1], "r") : stdin;
    if (!file) { perror(argv[1]); return 1; }
    while (fgets(line, sizeof line, file)) words_add(line, strlen(line));
    printf("%llu\n", words_most());
}
