/* A program that ends at once, with the status it is told. */
#include "user.h"

int main(char *arguments) { return (int)parse_number(arguments, NULL); }
